#include "data_parallel/train.h"

#include "data_parallel/loss_place.h"
#include "data_parallel/steps.h"
#include "training/catalog.h"
#include "training/evaluate.h"
#include "training/optimizer.h"
#include "training/step_meter.h"
#include "training/train_step.h"

namespace lockstep::data_parallel {

using namespace training;

TrainReport train(const TrainOptions& options, const World& world) {
  // 1. Devices.
  const auto cards = make_cards(options, options.gpus);
  const Card device = cards.front();  // the primary card
  const CardScope scope(device);
  StepMeter meter(options, world, cards);

  // 2. Model and optimizer.
  auto model = make_model(options, device);
  LossPlace criterion(options, cards, meter);
  Optimizer optimizer(model, options, meter);
  const auto parallel =
      make_steps(model, criterion.forward(), cards, options.data_parallel, meter);

  // 3. Data.
  const auto dataset = load_dataset(options);
  const auto sampler = make_sampler("random", dataset.train.size(), options, world);
  const auto loader =
      make_loader(dataset, *sampler, options, options.batch_size * options.gpus);

  // 4. Train.
  TrainStep step(options, world, device, meter, [&](auto& images, auto& labels) {
    optimizer.zero_grad();
    // Gathered: a fresh leaf.
    const auto logits = parallel->forward(criterion.inputs(images, labels)).front();
    const auto loss = criterion(logits, labels);
    loss.backward();  // stops at the gathered logits
    parallel->backward({logits.grad()});
    optimizer.step();
    return loss;
  });
  for (meter.start(loader.batches()); !meter.done(); meter.end_epoch()) {
    sampler->set_epoch(meter.epoch());
    for (const auto& batch : loader) {
      const auto images = device.put(batch.images);
      const auto labels = device.put(batch.labels);
      meter.step(step(images, labels), labels.size(0));
      if (meter.done()) break;
    }
  }

  // 5. Report.
  const auto accuracy = evaluate(model, dataset, device, options, world);
  return meter.report(model, accuracy);
}

}  // namespace lockstep::data_parallel
