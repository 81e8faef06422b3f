-- An op: what a study is about. It owns the shapes' arithmetic and the reference, so that no candidate can.
use "cc" "cubin"

-- For a CPU a shared object, for a GPU a cubin.
local function compile_reference(arg)
  if arg.device == "gpu" then
    local reference = ("out/kernel/%s/reference.cubin"):format(arg.name)
    cubin { reference, source = arg.reference, headers = { "kernels/device" }, set = arg.set }
    return reference
  end
  local reference = ("out/kernel/%s/reference.so"):format(arg.name)
  cc {
    reference,
    kind = "shared",
    sources = arg.reference,
    headers = { path.dir(arg.reference) },
    flags = { "-O2" },
    libs = { "m" },
  }
  return reference
end

-- The reference with one operation left out, each an object of its own: what the study's check has to notice.
local function compile_wrong(arg)
  local list = {}
  for i, name in ipairs(arg.without) do
    local stem = ("out/kernel/%s/without/%s"):format(arg.name, name)
    local object = stem .. (arg.device == "gpu" and ".cubin" or ".so")
    if arg.device == "gpu" then
      local set = { without = name }
      for key, value in pairs(arg.set) do
        set[key] = value
      end
      cubin { object, source = arg.reference, headers = { "kernels/device" }, set = set }
    else
      cc {
        object, kind = "shared", sources = arg.reference, headers = { path.dir(arg.reference) }, flags = { "-O2" }, defines = { "WITHOUT=" .. name },
        libs = { "m" },
      }
    end
    list[i] = { name = "without " .. name, object = object, threads = 1 }
  end
  return list
end

local function make(arg)
  local reference = compile_reference(arg)
  shared "ops"[arg.name] = {
    name = arg.name, title = arg.title, dims = arg.dims, buffers = arg.buffers, flops = arg.flops, bytes = arg.bytes,
    reference = reference, bound = arg.bound, device = arg.device, wrong = compile_wrong(arg), set = arg.set,
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
    buffers = { type = "list", required = true, doc = "{ name, \"in\" or \"out\", function(shape) return elements end, \"f32\" }, inputs first; the type is f32 unless said" },
    flops = { type = "function", required = true, doc = "shape to floating-point operations, what is masked not counted" },
    bytes = { type = "function", required = true, doc = "shape to the fewest bytes that have to move" },
    device = { type = "string", one_of = { "cpu", "gpu" }, default = "cpu", doc = "what its candidates run on" },
    reference = { type = "path", required = true, doc = "C or CUDA source that exports reference_at, as in the example" },
    without = { type = "strings", default = {}, doc = "operations that the reference leaves out under -DWITHOUT=NAME, as in the example; the check has to notice each" },
    set = { type = "table", default = {}, doc = "freedoms of the guide that the op itself decides: macros of its reference and of all its kernels, on a GPU" },
    bound = { type = "number", required = true, doc = "allowed error of an element, as a multiple of the reference's own scale for it" },
  },
  example = [[
use "op"

node { "out/example/reference.c", write = [=[
#include <math.h>
#include <stdint.h>
enum { NOTHING, DOUBLING };
#ifndef WITHOUT
#define WITHOUT NOTHING
#endif
int reference_at(const int64_t *dim, void *const *buf, int output, int64_t index, double *value, double *scale)
{
    const float *x = buf[0];
    (void)dim, (void)output;
    *value = (WITHOUT == DOUBLING ? 1.0 : 2.0) * x[index];
    *scale = fabs(*value);
    return 0;
}
]=] }
op "example" {
  title = "Twice x, fp32",
  dims = { "n" },
  buffers = { { "x", "in", function(s) return s.n end }, { "y", "out", function(s) return s.n end } },
  flops = function(s) return s.n end,
  bytes = function(s) return 8 * s.n end,
  reference = "out/example/reference.c",
  without = { "DOUBLING" },
  bound = 1e-6,
}
]],
  make = make,
}
