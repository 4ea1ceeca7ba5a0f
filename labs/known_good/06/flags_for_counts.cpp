// Lab 6, solved otherwise: flags where others count, cat at the launch.
#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <list>

#include "ddp/bucket.h"
#include "ddp/gradient_hooks.h"
#include "ddp/passes.h"
#include "labs/student_reducer.h"
namespace {
using namespace lockstep;
using Tensors = std::vector<at::Tensor>;

struct R : ddp::Reducer {
  Tensors ps;
  comm::ProcessGroup& g;
  int64_t k, pass = 0;
  ddp::BucketAssignment bs;
  std::vector<bool> here;
  Tensors flats;
  std::vector<comm::Work> works;
  ddp::GradientHooks hooks;
  R(const Tensors& p, comm::ProcessGroup& g, const labs::ReducerOptions& o)
      : ps(p),
        g(g),
        k(o.accumulate),
        bs(ddp::assign_buckets(p, o.bucket_cap_bytes, o.bucket_cap_bytes)),
        hooks(p, [this](size_t i, bool) { came(i); }) {}
  void zero_grad() override {
    if (pass % k == 0)
      for (auto& p : ps) p.mutable_grad().reset();
  }
  void prepare(const at::Tensor&) override {
    here.assign(ps.size(), false);
    flats.clear();
    works.clear();
  }
  void came(size_t i) {
    if (pass % k != k - 1) return;
    here[i] = true;
    while (flats.size() < bs.size() &&
           std::all_of(bs[flats.size()].begin(), bs[flats.size()].end(),
                       [&](size_t q) { return here[q]; }))
      launch();
  }
  void launch() {
    at::NoGradGuard no;
    Tensors parts;
    for (size_t q : bs[flats.size()])
      parts.push_back(
          ps[q].grad().defined()
              ? ps[q].grad().reshape({-1})
              : at::zeros({ps[q].numel()}, ps[q].options().requires_grad(false)));
    flats.push_back(at::cat(parts).div_(g.size()));
    works.push_back(g.all_reduce(flats.back()));
  }
  void finalize() override {
    if (++pass % k) return;
    while (flats.size() < bs.size()) launch();
    for (size_t b = 0; b < bs.size(); ++b) {
      works[b].wait();
      int64_t off = 0;
      for (size_t q : bs[b]) {
        ps[q].mutable_grad() =
            flats[b].narrow(0, off, ps[q].numel()).view(ps[q].sizes());
        off += ps[q].numel();
      }
    }
  }
};
ddp::ReducerPtr make_reducer(const std::vector<at::Tensor>& parameters,
                             comm::ProcessGroup& group,
                             const labs::ReducerOptions& options) {
  return std::make_unique<R>(parameters, group, options);
}
const labs::RegisteredReducer reducer("student", &make_reducer);
}  // namespace
