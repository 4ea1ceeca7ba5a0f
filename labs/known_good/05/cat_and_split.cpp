// Lab 5, solved otherwise: cat into a bucket, split out of it.
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

std::list<std::list<at::Tensor>> cut(const Tensors& ps, int64_t cap) {
  std::list<std::list<at::Tensor>> all;
  struct Open {
    at::ScalarType t;
    std::list<at::Tensor>* b;
    int64_t bytes;
  };
  std::list<Open> open;
  for (auto p = ps.rbegin(); p != ps.rend(); ++p) {
    auto o = std::find_if(open.begin(), open.end(),
                          [&](auto& x) { return x.t == p->scalar_type(); });
    if (o == open.end()) {
      all.emplace_back();
      open.push_front({p->scalar_type(), &all.back(), 0});
      o = open.begin();
    }
    o->b->push_back(*p);
    o->bytes += p->numel() * p->element_size();
    if (o->bytes >= cap) open.erase(o);
  }
  return all;
}
struct R : ddp::Reducer {
  comm::ProcessGroup& g;
  ddp::Passes passes;
  std::list<std::list<at::Tensor>> buckets;
  R(const Tensors& p, comm::ProcessGroup& g, const labs::ReducerOptions& o)
      : g(g), passes(o.accumulate), buckets(cut(p, o.bucket_cap_bytes)) {}
  void zero_grad() override {
    if (passes.fresh())
      for (auto& b : buckets)
        for (auto& p : b) p.mutable_grad() = at::Tensor();
  }
  void prepare(const at::Tensor&) override {}
  void finalize() override {
    if (!passes.last()) {
      passes.end(false);
      return;
    }
    passes.end(true);
    at::NoGradGuard no;
    for (auto& b : buckets) {
      Tensors flat;
      for (auto& p : b)
        flat.push_back(
            (p.grad().defined() ? p.grad() : at::zeros_like(p)).reshape({-1}));
      auto one = at::cat(flat);
      g.all_reduce(one).wait();
      one /= g.size();
      int64_t at = 0;
      for (auto& p : b) {
        p.mutable_grad() = one.slice(0, at, at + p.numel()).reshape(p.sizes());
        at += p.numel();
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
