#include "single_gpu/train.h"
#include "training/program.h"

int main(int argc, char** argv) {
  using namespace lockstep;
  return training::run_program(
      {"single_gpu", "Trains on one card.", training::Ranks::one}, single_gpu::train,
      argc, argv);
}
