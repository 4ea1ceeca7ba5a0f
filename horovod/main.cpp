#include "horovod/distributed_optimizer.h"
#include "horovod/train.h"
#include "program/program.h"

int main(int argc, char** argv) {
  using namespace lockstep;
  return program::run_program(
      {"horovod", "Trains on N cards, one process a card, Horovod's way.",
       program::Ranks::horovod, horovod::check_options},
      horovod::train, argc, argv);
}
