// Note [Two collectives a bucket]
// P = M Q with the last step's Q, and what is not compressed, travel in one message;
// the ranks' sum of P is made orthonormal, and Q = Mᵀ P travels in the second. Python's
// hook sends three: on slow links small messages cost what large ones do.
//
// Note [Error feedback]
// What P Qᵀ lacks of M stays with the rank and is added to its next gradient: nothing
// is lost, it only comes later. The sum over steps of what was sent, and the mean over
// ranks of what is unsent, is the sum of the mean gradients. It belongs to the
// parameter: where buckets are rebuilt, it goes along.
//
// Note [Equal on all ranks]
// Each rank computes P Qᵀ for itself, from sums that are equal on all, by the same
// instructions: replicas on one kind of machine stay equal to the bit.
//
// Note [NaN does not stay]
// A step whose gradients overflowed, or that was given up (ddp's Note [After an
// exception]), leaves Q without a finite sum, on all ranks alike: then all forget, and
// start again.
#include "hooks/power_sgd.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Functions.h>

#include <cmath>

#include "device/memory_ledger.h"

namespace lockstep::hooks {
namespace {

// Elements of M for each of P and Q that make it worth the work; Python's default.
constexpr int64_t kMinCompressionRate = 2;

// A dense tensor of two dimensions or more as its memory has it: the outermost
// dimension by all others. (Transposed in memory is a matrix as good.)
at::Tensor as_matrix(const at::Tensor& dense) {
  int64_t rows = 1, stride = 0;
  for (int64_t d = 0; d < dense.dim(); ++d) {
    if (dense.size(d) < 2 || dense.stride(d) <= stride) continue;
    stride = dense.stride(d);
    rows = dense.size(d);
  }
  const int64_t columns = dense.numel() / rows;
  return dense.as_strided({rows, columns}, {columns, 1});
}

at::Tensor orthonormal(const at::Tensor& matrix) {
  return std::get<0>(at::linalg_qr(matrix));
}

// [rows, columns] from the message, from `*start` on.
at::Tensor next_piece(const at::Tensor& message, int64_t* start, int64_t rows,
                      int64_t columns) {
  const at::Tensor piece =
      message.narrow(0, *start, rows * columns).view({rows, columns});
  *start += rows * columns;
  return piece;
}

}  // namespace

class PowerSgd::Compressed final : public Reduction {
 public:
  Compressed(comm::ProcessGroup& group, at::TensorOptions type)
      : group_(group), type_(type) {}

  void add(const at::Tensor& gradient) { plain_.push_back(gradient); }
  void add(const at::Tensor& matrix, Memory& memory) {
    factored_.push_back({matrix, memory, {}});
  }

  void start() {
    int64_t elements = 0;
    for (const at::Tensor& gradient : plain_) elements += gradient.numel();
    for (const Factored& one : factored_) elements += one.matrix.size(0) * one.rank();
    message_ = group_.allocate(elements, type_);
    int64_t from = 0;
    for (const at::Tensor& gradient : plain_) {
      next_piece(message_, &from, 1, gradient.numel()).copy_(flat(gradient));
    }
    for (Factored& one : factored_) {
      one.memory.matrix.add_(one.matrix);
      one.p = next_piece(message_, &from, one.matrix.size(0), one.rank());
      at::mm_out(one.p, one.memory.matrix, orthonormal(one.memory.q));
    }
    work_ = group_.all_reduce(message_);
  }

  bool advance() override {
    work_.wait();
    if (in_second_) {
      end();
      return false;
    }
    in_second_ = true;
    const device::CategoryScope category(device::Category::buckets);
    take_plain();
    start_second();
    return true;
  }

 private:
  struct Factored {
    at::Tensor matrix;  // of the bucket's
    Memory& memory;
    at::Tensor p;
    int64_t rank() const { return memory.q.size(1); }
  };

  static at::Tensor flat(const at::Tensor& dense) {
    return dense.as_strided({1, dense.numel()}, {dense.numel(), 1});
  }

  void take_plain() {
    int64_t from = 0;
    for (const at::Tensor& gradient : plain_) {
      at::Tensor to = flat(gradient);
      at::div_out(to, next_piece(message_, &from, 1, gradient.numel()),
                  at::scalar_tensor(group_.size(), gradient.options()));
    }
  }

  void start_second() {
    int64_t elements = 0;
    for (const Factored& one : factored_) elements += one.matrix.size(1) * one.rank();
    const at::Tensor message = group_.allocate(elements, type_);
    int64_t from = 0;
    for (Factored& one : factored_) {
      one.p = orthonormal(one.p);
      one.memory.q = next_piece(message, &from, one.matrix.size(1), one.rank());
      at::mm_out(one.memory.q, one.memory.matrix.t(), one.p);
    }
    message_ = message;
    work_ = group_.all_reduce(message_);
  }

  void end() {
    message_.div_(group_.size());
    const bool finite = std::isfinite(message_.sum().item<double>());
    for (Factored& one : factored_) {
      at::mm_out(one.matrix, one.p, one.memory.q.t());
      if (finite) {
        one.memory.matrix.sub_(one.matrix);
      } else {
        one.memory = {};  // see Note [NaN does not stay]
      }
    }
  }

  comm::ProcessGroup& group_;
  const at::TensorOptions type_;
  std::vector<at::Tensor> plain_;
  std::vector<Factored> factored_;
  at::Tensor message_;
  comm::Work work_;
  bool in_second_ = false;
};

PowerSgd::PowerSgd(const HookOptions& options)
    : options_(options),
      uncompressed_(make_all_reduce_hook(options)),
      steps_(options.steps_before),
      next_seed_(options.seed) {}

std::unique_ptr<Reduction> PowerSgd::start(const GradBucket& bucket,
                                           comm::ProcessGroup& group) {
  const bool compresses = steps_ >= options_.powersgd_start;
  if (bucket.is_last()) ++steps_;
  if (!compresses) return uncompressed_->start(bucket, group);
  const device::CategoryScope category(device::Category::buckets);
  auto reduction = std::make_unique<Compressed>(group, bucket.buffer().options());
  bool any = false;
  for (size_t i = 0; i < bucket.gradients().size(); ++i) {
    const at::Tensor& gradient = bucket.gradients()[i];
    const at::Tensor matrix = gradient.dim() < 2 ? gradient : as_matrix(gradient);
    if (!pays(matrix)) {
      reduction->add(gradient);
      continue;
    }
    reduction->add(matrix, memory_of(bucket.parameters()[i], matrix));
    any = true;
  }
  if (!any) return uncompressed_->start(bucket, group);
  reduction->start();
  return reduction;
}

bool PowerSgd::pays(const at::Tensor& matrix) const {
  if (matrix.dim() < 2) return false;
  const int64_t n = matrix.size(0), m = matrix.size(1);
  const int64_t rank = std::min({n, m, options_.powersgd_rank});
  return (n + m) * rank * kMinCompressionRate < n * m;
}

PowerSgd::Memory& PowerSgd::memory_of(const at::Tensor& parameter,
                                      const at::Tensor& matrix) {
  Memory& memory = memories_[parameter.unsafeGetTensorImpl()];
  if (!memory.q.defined()) {
    const int64_t rank =
        std::min({matrix.size(0), matrix.size(1), options_.powersgd_rank});
    memory.matrix = at::zeros_like(matrix);
    memory.q =
        at::randn({matrix.size(1), rank}, at::detail::createCPUGenerator(next_seed_++),
                  matrix.options().device(at::kCPU))
            .to(matrix.device());
  }
  return memory;
}

at::Tensor PowerSgd::unsent(const at::Tensor& parameter) const {
  const auto found = memories_.find(parameter.unsafeGetTensorImpl());
  return found == memories_.end() ? at::Tensor() : found->second.matrix;
}

std::unique_ptr<CommHook> make_power_sgd_hook(const HookOptions& options) {
  return std::make_unique<PowerSgd>(options);
}

}  // namespace lockstep::hooks
