// Over shm gradients are added up where backward left them: not copied, and not under
// the hands of a backward pass that still reads them.
#include <gtest/gtest.h>

#include "ddp/bucketed_reducer.h"
#include "tests/random_net.h"
#include "tests/thread_ranks.h"

namespace lockstep::ddp {
namespace {

TEST(InPlace, NoGradientIsCopied) {
  run_thread_ranks(
      2,
      [&](const ThreadRank& at) {
        const RandomNet net(5, at::kFloat);
        const std::vector<at::Tensor> parameters = net.parameters();
        BucketedReducer reducer(named(parameters), at.group, caps(500, 3000));
        std::vector<const void*> made(parameters.size());
        for (size_t p = 0; p < parameters.size(); ++p) {
          parameters[p].register_hook([&made, p](const at::Tensor& gradient) {
            made[p] = gradient.const_data_ptr();
          });
        }
        for (int i = 0; i < 3; ++i) {
          run_pass(reducer, [&] { return net.forward(net.batch(i, at.rank)); });
          for (size_t p = 0; p < parameters.size(); ++p) {
            EXPECT_EQ(parameters[p].grad().const_data_ptr(), made[p])
                << "parameter " << p << " in step " << i;
          }
        }
      },
      "shm");
}

// The sum hands one gradient to both its terms. `reshaped` gets a view of it, at once,
// while `late` has still to be computed from it.
TEST(InPlace, AGradientThatBackwardStillReadsIsCopied) {
  run_thread_ranks(
      2,
      [&](const ThreadRank& at) {
        const at::Tensor late = at::full({6}, 2.0).requires_grad_();
        const at::Tensor reshaped = at::full({2, 3}, 2.0).requires_grad_();
        BucketedReducer reducer(named({late, reshaped}), at.group, caps(0, 0));
        for (int i = 1; i < 4; ++i) {
          reducer.zero_grad();
          const at::Tensor product = late * 10;
          const at::Tensor output =
              (product + reshaped.view({6})) * at::full({6}, 1.0 * i * at.rank);
          reducer.prepare(output);
          output.sum().backward();
          // What the others did to the memory meanwhile must not reach `late`.
          reducer.finalize();
          EXPECT_TRUE(at::equal(reshaped.grad(), at::full({2, 3}, 0.5 * i)));
          EXPECT_TRUE(at::equal(late.grad(), at::full({6}, 5.0 * i))) << late.grad();
        }
      },
      "shm");
}

}  // namespace
}  // namespace lockstep::ddp
