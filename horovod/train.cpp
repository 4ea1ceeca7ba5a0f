#include "horovod/train.h"

#include "horovod/distributed_optimizer.h"
#include "training/catalog.h"
#include "training/evaluate.h"
#include "training/step_meter.h"
#include "training/train_step.h"

namespace lockstep::horovod {

using namespace training;

TrainReport train(const TrainOptions& options, const World& world) {
  // 1. Devices.
  const auto group = make_process_group(options, world);
  const Card device = make_cards(options, world.local_world_size).at(world.local_rank);
  const CardScope scope(device);
  StepMeter meter(options, world, {device});

  // 2. Model and optimizer.
  auto model = make_model(options, device);
  CrossEntropy criterion(meter);
  const auto hvd = init(model, *group, options, device, meter);
  DistributedOptimizer optimizer(model, *hvd, options, meter);
  broadcast_parameters(model, *hvd);
  broadcast_optimizer_state(optimizer.sgd(), *hvd);

  // 3. Data.
  const auto dataset = load_dataset(options);
  const auto sampler =
      make_sampler("distributed", dataset.train.size(), options, world);
  const auto loader = make_loader(dataset, *sampler, options, options.batch_size);

  // 4. Train.
  TrainStep step(options, world, device, meter, [&](auto& images, auto& labels) {
    optimizer.zero_grad();
    const auto logits = model->forward(images);
    const auto loss = criterion(logits, labels);
    loss.backward();
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
  broadcast_parameters(model, *hvd);
  hvd->shutdown();
  const auto accuracy = evaluate(model, dataset, device, options, world);
  return meter.report(model, accuracy);
}

}  // namespace lockstep::horovod
