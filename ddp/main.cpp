#include "ddp/reducers.h"
#include "ddp/train.h"
#include "training/program.h"

int main(int argc, char** argv) {
  using namespace lockstep;
  const auto check = [](const TrainOptions& options) {
    ddp::reducers().at(options.ddp.reducer);
  };
  return training::run_program(
      {"ddp", "Trains on N cards, one process a card, by DistributedDataParallel.",
       training::Ranks::one_a_card, check},
      ddp::train, argc, argv);
}
