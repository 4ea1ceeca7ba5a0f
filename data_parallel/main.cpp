#include "data_parallel/steps.h"
#include "data_parallel/train.h"
#include "program/program.h"

int main(int argc, char** argv) {
  using namespace lockstep;
  return program::run_program(
      {"data_parallel",
       "Trains on N cards from one process, a thread a card, by DataParallel.",
       program::Ranks::one_process, &data_parallel::check_steps},
      data_parallel::train, argc, argv);
}
