#include "ddp/reducers.h"
#include "ddp/train.h"
#include "program/program.h"

int main(int argc, char** argv) {
  using namespace lockstep;
  return program::run_program(
      {"ddp", "Trains on N cards, one process a card, by DistributedDataParallel.",
       program::Ranks::one_a_card, ddp::check_reducer},
      ddp::train, argc, argv);
}
