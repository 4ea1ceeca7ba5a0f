#include "data/gzip.h"

#include <libdeflate.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>

namespace lockstep::data {
namespace {

[[noreturn]] void refuse(std::string_view where, const std::string& why) {
  throw std::runtime_error(std::string(where) + ": " + why);
}

bool is_gzip(std::span<const uint8_t> bytes) {
  return bytes.size() >= 2 && bytes[0] == 0x1f && bytes[1] == 0x8b;
}

struct Inflater {
  z_stream stream{};

  Inflater() {
    // 16: the gzip format alone, with its checksum.
    if (inflateInit2(&stream, MAX_WBITS + 16) != Z_OK) throw std::bad_alloc();
  }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  ~Inflater() { inflateEnd(&stream); }
};

// The trailer tells the inflated size, but the trailer is the file's word: deflate
// cannot do better than 1032 to 1, so no more than that is believed.
uint64_t first_guess(std::span<const uint8_t> bytes, uint64_t max_bytes) {
  uint64_t told = 0;
  if (bytes.size() >= 4) {
    for (int i = 1; i <= 4; ++i) told = told << 8 | bytes[bytes.size() - i];
  }
  uint64_t possible = uint64_t{1032} * bytes.size();
  // One more than needed, so that the end of the stream is seen without growing.
  return std::min({told + 1, possible + 64, max_bytes + 1});
}

// A single member, whole and of the size that it tells, as files of data sets are: in
// half of zlib's time. False for whatever else; zlib says then what it is.
bool inflate_at_once(std::span<const uint8_t> bytes, std::vector<uint8_t>& result) {
  const std::unique_ptr<libdeflate_decompressor, void (*)(libdeflate_decompressor*)>
      decompressor(libdeflate_alloc_decompressor(), &libdeflate_free_decompressor);
  size_t read = 0, written = 0;
  if (decompressor == nullptr ||
      libdeflate_gzip_decompress_ex(decompressor.get(), bytes.data(), bytes.size(),
                                    result.data(), result.size(), &read,
                                    &written) != LIBDEFLATE_SUCCESS ||
      read != bytes.size()) {
    return false;
  }
  result.resize(written);
  return true;
}

uInt at_most_uint(uint64_t n) {
  return static_cast<uInt>(std::min<uint64_t>(n, uint64_t{1} << 30));
}

}  // namespace

std::vector<uint8_t> read_file(const std::filesystem::path& path) {
  const std::string where = path.string();
  std::error_code ignored;
  const std::filesystem::file_status status = std::filesystem::status(path, ignored);
  if (std::filesystem::is_directory(status)) refuse(where, "is a folder");
  // A pipe that nobody writes to would be waited for, and each rank reads the file
  // anew.
  if (std::filesystem::is_other(status)) refuse(where, "is no regular file");
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (!file) refuse(where, std::string("cannot be read: ") + std::strerror(errno));
  // Sized by what arrives: what the file system says is a first guess, for the file may
  // be growing. One more than that, so that the end is seen without growing.
  constexpr uint64_t kMostGuessed = uint64_t{1} << 28;
  const uint64_t told = std::filesystem::file_size(path, ignored);
  std::vector<uint8_t> bytes(ignored ? 1 << 16 : std::min(told, kMostGuessed) + 1);
  size_t filled = 0;
  while (file) {
    if (filled > kMaxFileBytes) refuse(where, "is larger than 4 GiB");
    if (filled == bytes.size()) bytes.resize(2 * filled);
    file.read(reinterpret_cast<char*>(bytes.data() + filled),
              static_cast<std::streamsize>(bytes.size() - filled));
    filled += static_cast<size_t>(file.gcount());
  }
  if (file.bad()) refuse(where, std::string("cannot be read: ") + std::strerror(errno));
  bytes.resize(filled);
  return bytes;
}

std::vector<uint8_t> gunzip(std::span<const uint8_t> bytes, std::string_view where,
                            uint64_t max_bytes) {
  if (!is_gzip(bytes)) refuse(where, "is not gzip (it does not begin with 1f 8b)");
  std::vector<uint8_t> result(first_guess(bytes, max_bytes));
  if (inflate_at_once(bytes, result) && result.size() <= max_bytes) return result;
  result.resize(first_guess(bytes, max_bytes));
  Inflater inflater;
  z_stream& stream = inflater.stream;
  uint64_t read = 0, written = 0;
  while (true) {
    if (written == result.size()) {
      result.resize(std::min<uint64_t>(2 * written + 64, max_bytes + 1));
    }
    uInt offered = at_most_uint(bytes.size() - read);
    uInt room = at_most_uint(result.size() - written);
    stream.next_in = const_cast<uint8_t*>(bytes.data() + read);  // zlib only reads
    stream.avail_in = offered;
    stream.next_out = result.data() + written;
    stream.avail_out = room;
    int status = inflate(&stream, Z_NO_FLUSH);
    read += offered - stream.avail_in;
    written += room - stream.avail_out;
    if (written > max_bytes) {
      refuse(where, "inflates to more than " + std::to_string(max_bytes) +
                        " bytes; that is no data set");
    }
    if (status == Z_STREAM_END) {
      if (read == bytes.size()) break;
      if (!is_gzip(bytes.subspan(read))) {
        refuse(where, std::to_string(bytes.size() - read) +
                          " bytes that are not gzip follow the end of the stream; "
                          "fetch the file again");
      }
      inflateReset(&stream);
    } else if (status == Z_MEM_ERROR) {
      throw std::bad_alloc();
    } else if (status == Z_OK || status == Z_BUF_ERROR) {
      if (read == bytes.size() && stream.avail_out != 0) {
        refuse(where, "gzip stream is truncated after " + std::to_string(read) +
                          " bytes; fetch the file again");
      }
    } else {
      refuse(where, std::string("gzip stream is corrupted (") +
                        (stream.msg != nullptr ? stream.msg : "preset dictionary") +
                        "); fetch the file again");
    }
  }
  result.resize(written);
  return result;
}

std::vector<uint8_t> read_maybe_gzip(const std::filesystem::path& path) {
  std::vector<uint8_t> bytes = read_file(path);
  return is_gzip(bytes) ? gunzip(bytes, path.string()) : bytes;
}

}  // namespace lockstep::data
