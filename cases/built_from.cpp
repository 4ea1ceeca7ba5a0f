// Alone in a file: no code holds a copy of it, so that programs which are handed on can
// be made to forget it (labs/release.py).
namespace lockstep::cases {
extern const char kSourceFolder[];
const char kSourceFolder[] = LOCKSTEP_SOURCE_DIR;
}  // namespace lockstep::cases
