-- An op: what a study is about. It owns the shapes' arithmetic and the reference, so that no candidate can.
use "cc"

local function make(arg)
  local reference = ("out/kernel/%s/reference.so"):format(arg.name)
  cc {
    reference,
    kind = "shared",
    sources = arg.reference,
    headers = { path.dir(arg.reference), "src/runner" },
    includes = { "src/runner" },
    flags = { "-O2" },
    libs = { "m" },
  }
  shared "ops"[arg.name] = {
    name = arg.name, title = arg.title, dims = arg.dims, buffers = arg.buffers, flops = arg.flops, bytes = arg.bytes,
    reference = reference, bound = arg.bound,
  }
  shared "kernels"[arg.name] = {}
end

return {
  name = "op",
  doc = "What a study is about: the dimensions of a shape, the buffers and their extents, how many operations and bytes an answer is worth, and the "
    .. "reference that says what is right. Candidates own none of this.",
  shape = {
    named = true,
    name = { type = "string", doc = "its name" },
    title = { type = "string", required = true, doc = "the heading of its report" },
    dims = { type = "strings", required = true, doc = "the names of a shape's values, in the order a candidate gets them" },
    buffers = { type = "list", required = true, doc = "{ name, \"in\" or \"out\", function(shape) return elements end }, inputs first" },
    flops = { type = "function", required = true, doc = "shape to floating-point operations, what is masked not counted" },
    bytes = { type = "function", required = true, doc = "shape to the fewest bytes that have to move" },
    reference = { type = "path", required = true, doc = "C source that exports reference_at (src/runner/candidate.h)" },
    bound = { type = "number", required = true, doc = "allowed error of an element, as a multiple of the reference's own scale for it" },
  },
  make = make,
}
