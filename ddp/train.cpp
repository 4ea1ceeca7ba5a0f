#include "ddp/train.h"

#include "ddp/reducers.h"
#include "ddp/replica_sync.h"
#include "training/catalog.h"
#include "training/evaluate.h"
#include "training/optimizer.h"
#include "training/step_meter.h"
#include "training/train_step.h"

namespace lockstep::ddp {

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
  Optimizer optimizer(model, options, meter);
  ReplicaSync replicas(model, *group, options, meter);
  const auto reducer = make_reducer(model, *group, options, meter);

  // 3. Data.
  const auto dataset = load_dataset(options);
  const auto sampler =
      make_sampler("distributed", dataset.train.size(), options, world);
  const auto loader = make_loader(dataset, *sampler, options, options.batch_size);

  // 4. Train.
  TrainStep step(options, world, device, meter, [&](auto& images, auto& labels) {
    reducer->zero_grad();
    replicas.broadcast_buffers();
    const auto logits = model->forward(images);
    reducer->prepare(logits);
    const auto loss = criterion(logits, labels);
    loss.backward();
    reducer->finalize();
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
  replicas.broadcast_buffers();
  const auto accuracy = evaluate(model, dataset, device, options, world);
  return meter.report(model, accuracy);
}

}  // namespace lockstep::ddp
