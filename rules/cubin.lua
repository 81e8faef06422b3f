-- A cubin: one CUDA source compiled for one architecture, with what it needs of the machine's resources, and which instructions it has, as text beside it.
local arch = param("arch", "sm_90a")
local home = env "CUDA_HOME" or "/usr/local/cuda"

local function declare(name)
  return tool { name = name, find = { name, home .. "/bin/" .. name, "/usr/local/cuda/bin/" .. name }, version = { "--version" }, optional = true }
end
local nvcc, ptxas = declare "nvcc", declare "ptxas"
local disassembler = declare "nvdisasm"

local function macros(set)
  local out = {}
  for name, value in pairs(set) do
    out[#out + 1] = ("-D%s=%s"):format(name:upper(), value)
  end
  return out
end

-- A node of its own: the cubin is the same where there is no disassembler.
local function disassemble(cubin, text)
  if not disassembler then
    node { traced(text), kind = "instructions", write = "no disassembler found\n" }
    return
  end
  local step = rule_file "step/instructions.sh"
  node {
    traced(text), kind = "instructions", doc = "how many instructions of each kind", inputs = { cubin, step, rule_file "step/instructions.awk" },
    run = { "sh", step, text, disassembler.path, cubin }, tools = { "nvdisasm", "awk" }, phase = "inner",
  }
end

local function make(arg)
  if not nvcc or not ptxas then
    return nil
  end
  local out = tostring(arg[1])
  local stem = out:gsub("%.cubin$", "")
  local depfile = stem .. ".d"
  disassemble(out, stem .. ".instructions")
  return node {
    out,
    traced(stem .. ".resources"),
    kind = "cubin",
    doc = arg.doc,
    inputs = { arg.source, rule_file "step/cubin.sh" },
    run = {
      "sh", rule_file "step/cubin.sh", stem .. ".resources", arg.spills and "yes" or "no", arch, out,
      nvcc.path, "-std=c++17", "-O3", "-lineinfo", macros(arg.set), "-MD", "-MF", depfile, arg.source,
    },
    depfile = depfile,
    reads = { path.dir(arg.source), arg.headers },
    tools = { "nvcc", "ptxas" },
    phase = "inner",
  }
end

return {
  name = "cubin",
  doc = "Compiles one CUDA source to a cubin (for sm_90a, or -D arch=sm_80), and keeps registers, shared memory and spills as text. Spills are an error unless "
    .. "the study wants to see them. A second node counts the instructions of each kind in STEM.instructions, where nvdisasm is found. "
    .. "Where there is no nvcc it makes nothing and returns nil.",
  shape = {
    [1] = { type = "path", required = true, doc = "the cubin" },
    source = { type = "path", required = true, doc = "the CUDA source" },
    headers = { type = "paths", default = {}, doc = "further folders that headers are read from" },
    set = { type = "table", default = {}, doc = "macros: name, written in capitals, to value" },
    spills = { type = "boolean", default = false, doc = "spilled registers are no error" },
    doc = { type = "string", doc = "what it is" },
  },
  make = make,
}
