#include "ddp/reducers.h"
#include "ddp/train.h"
#include "training/program.h"

int main(int argc, char** argv) {
  using namespace lockstep;
  return training::run_program(
      {"ddp", "Trains on N cards, one process a card, by DistributedDataParallel.",
       training::Ranks::one_a_card, ddp::check_reducer},
      ddp::train, argc, argv);
}
