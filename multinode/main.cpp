// The same training as ddp, on several machines. The loop is ddp::train itself: only
// how the ranks meet is new, and that the command line says.
#include "ddp/reducers.h"
#include "ddp/train.h"
#include "program/program.h"

int main(int argc, char** argv) {
  using namespace lockstep;
  return program::run_program(
      {"multinode",
       "Trains on N cards of each of several machines, by DistributedDataParallel. "
       "Start it on every machine: by hand, or by torchrun.",
       program::Ranks::many_machines, ddp::check_reducer},
      ddp::train, argc, argv);
}
