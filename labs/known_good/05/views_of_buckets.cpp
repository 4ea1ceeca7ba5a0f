// Lab 5, solved otherwise: buckets launched together, gradients that view them.
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

struct B {
  std::vector<size_t> who;
  int64_t n = 0;
  at::Tensor flat;
  comm::Work work;
  at::ScalarType type;
  bool closed = false;
};
struct R : ddp::Reducer {
  comm::ProcessGroup& g;
  Tensors ps;
  int64_t k, pass = 0;
  std::vector<B> bs;
  R(const Tensors& p, comm::ProcessGroup& g, const labs::ReducerOptions& o)
      : g(g), ps(p), k(o.accumulate) {
    for (int i = (int)ps.size() - 1; i >= 0; --i) {
      B* b = nullptr;
      for (auto& c : bs)
        if (!c.closed && c.type == ps[i].scalar_type()) b = &c;
      if (!b) {
        bs.emplace_back();
        b = &bs.back();
        b->type = ps[i].scalar_type();
      }
      b->who.push_back(i);
      b->n += ps[i].numel();
      b->closed = b->n * (int64_t)ps[i].element_size() >= o.bucket_cap_bytes;
    }
    for (auto& b : bs) b.flat = at::zeros({b.n}, at::TensorOptions().dtype(b.type));
  }
  void zero_grad() override {
    if (pass % k == 0)
      for (auto& p : ps) p.mutable_grad().reset();
  }
  void prepare(const at::Tensor&) override {}
  void finalize() override {
    if (++pass % k) return;
    for (auto& b : bs) {
      b.flat.zero_();
      int64_t off = 0;
      for (auto i : b.who) {
        if (ps[i].grad().defined())
          b.flat.narrow(0, off, ps[i].numel()).view_as(ps[i]).copy_(ps[i].grad());
        off += ps[i].numel();
      }
      b.work = g.all_reduce(b.flat);
    }
    for (auto& b : bs) {
      b.work.wait();
      b.flat.div_(g.size());
      int64_t off = 0;
      for (auto i : b.who) {
        ps[i].mutable_grad() = b.flat.narrow(0, off, ps[i].numel()).view(ps[i].sizes());
        off += ps[i].numel();
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
