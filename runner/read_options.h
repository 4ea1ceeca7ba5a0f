// The tables of a configuration that say what is trained, each read into the options
// that the loops take. Names without a scope are looked for in `scope` first. All throw
// config::Error.
//
// Not here: for how long, by which loop, and who watches (runner.cpp).
#pragma once

#include <string>

#include "config/section.h"
#include "training/options.h"

namespace lockstep::runner {

void read_environment(const config::Section& config, training::TrainOptions& options);

void read_model(const config::Section& config, const std::string& scope,
                training::TrainOptions& options);

// A loader's batch size and data set; and what else a train_dataloader has.
void read_dataset(const config::Section& loader, const std::string& scope,
                  training::TrainOptions& options);
void read_loader(const config::Section& config, const std::string& scope,
                 training::TrainOptions& options);
// That the data set's files are there, and its samples of a shape as those of `like`,
// which the model takes.
void check_data(const config::Section& loader, const std::string& like,
                const training::TrainOptions& options);

// An optim_wrapper: what a step is.
void read_optimizer(const config::Section& config, const std::string& scope,
                    training::TrainOptions& options);

}  // namespace lockstep::runner
