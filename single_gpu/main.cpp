#include "program/program.h"
#include "single_gpu/train.h"

int main(int argc, char** argv) {
  using namespace lockstep;
  return program::run_program(
      {"single_gpu", "Trains on one card.", program::Ranks::one}, single_gpu::train,
      argc, argv);
}
