#include "data/cifar.h"

#include <stdexcept>
#include <string>

namespace lockstep::data {
namespace {

[[noreturn]] void refuse(std::string_view where, const std::string& why) {
  throw std::runtime_error(std::string(where) + ": " + why);
}

}  // namespace

CifarRecords parse_cifar10(std::span<const uint8_t> bytes, std::string_view where) {
  constexpr size_t kRecordBytes = CifarRecords::kRecordBytes;
  if (bytes.empty()) refuse(where, "is empty; fetch the file again");
  if (bytes.size() % kRecordBytes != 0) {
    refuse(where, std::to_string(bytes.size()) + " bytes are " +
                      std::to_string(bytes.size() / kRecordBytes) +
                      " records of 3073 and " +
                      std::to_string(bytes.size() % kRecordBytes) +
                      " bytes more; is it the binary version? fetch the file again");
  }
  const CifarRecords records{bytes};
  for (size_t i = 0; i < records.count(); ++i) {
    if (records.label(i) >= CifarRecords::kClasses) {
      refuse(where, "label " + std::to_string(i) + " is " +
                        std::to_string(records.label(i)) +
                        ", outside 0..9; is it the right file?");
    }
  }
  return records;
}

}  // namespace lockstep::data
