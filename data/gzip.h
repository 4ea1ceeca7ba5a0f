// A file's bytes, inflated where they are gzipped (libdeflate, zlib). Whole files at
// once: the data sets of this project fit in memory. Not a stream, not a seekable
// archive.
//
// Every failure is a std::runtime_error of one line that begins with `where`.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

namespace lockstep::data {

// A bomb of a few megabytes must not take the machine's memory: more is refused.
inline constexpr uint64_t kMaxFileBytes = uint64_t{4} << 30;

// Regular files alone.
std::vector<uint8_t> read_file(const std::filesystem::path& path);

// The whole of a gzip stream, members joined (`cat a.gz b.gz` is one). Truncated,
// corrupted, followed by something else, or larger than max_bytes: refused.
std::vector<uint8_t> gunzip(std::span<const uint8_t> bytes,
                            std::string_view where = "gzip stream",
                            uint64_t max_bytes = kMaxFileBytes);

// Chooses by the first two bytes, not by the name.
std::vector<uint8_t> read_maybe_gzip(const std::filesystem::path& path);

}  // namespace lockstep::data
