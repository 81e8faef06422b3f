-- A kernel: one candidate for a CPU, compiled to a shared object that the runner loads.
use "cc"

local function check_freedoms(arg)
  local guide = arg.guide and shared "guides"[arg.guide]
  if arg.guide and not guide then
    fail(("no guide is called \"%s\""):format(arg.guide), { code = "unknown_name", word = arg.guide, hint = "declare the guide before its kernels" })
  end
  for name in pairs(arg.set) do
    if not guide or guide.freedoms[name] == nil then
      fail(("the guide leaves no freedom called \"%s\""):format(name), { word = name,
        hint = "a value may be set for a freedom that the guide names" })
    end
  end
end

local function make(arg)
  local study, short = arg.name:match "^([^/]+)/([^/]+)$"
  if not study or not shared "ops"[study] then
    fail(("\"%s\" does not begin with the name of an op"):format(arg.name), { word = arg.name, hint = "call it OP/VARIANT, and declare the op before" })
  end
  check_freedoms(arg)
  local object = ("out/kernel/%s.so"):format(arg.name)
  local defines = {}
  for name, value in pairs(arg.set) do
    defines[#defines + 1] = ("%s=%s"):format(name:upper(), value)
  end
  if arg.source then
    cc {
      object,
      kind = "shared",
      doc = arg.doc,
      sources = arg.source,
      headers = { path.dir(arg.source), "src/runner" },
      includes = { "src/runner" },
      flags = { "-O3" },
      defines = defines,
      libs = arg.libs,
    }
  else
    object = ("out/kernel/%s.so"):format(arg.same_as)
  end
  local list = shared "kernels"[study]
  local entry = { name = short, object = object, threads = arg.threads, library = arg.library, doc = arg.doc, study = study }
  list[#list + 1] = entry
  list[short] = entry
end

return {
  name = "kernel",
  doc = "A candidate for a CPU: one C source, compiled alone, that exports `candidate` (src/runner/candidate.h). Its name is OP/VARIANT.",
  shape = {
    named = true,
    name = { type = "string", doc = "OP/VARIANT" },
    source = { type = "path", doc = "the C source" },
    same_as = { type = "string", doc = "instead of a source: the kernel whose object it shares, with other threads" },
    guide = { type = "string", doc = "the guide it follows" },
    threads = { type = "integer", default = 1, doc = "how many threads it may use" },
    set = { type = "table", default = {}, doc = "values for freedoms that the guide names; each becomes a macro" },
    libs = { type = "strings", default = { "m", "pthread" }, doc = "libraries it is linked with" },
    library = { type = "boolean", default = false, doc = "it only calls a library: a baseline, never a candidate" },
    doc = { type = "string", doc = "what it changes; without it, the prose above" },
  },
  make = make,
}
