-- A law: cases that the engine draws, two sides that a simulation computes, faults that it has to tell apart.

local function pair(lo, hi, who)
  if math.type(lo) ~= "integer" or math.type(hi) ~= "integer" or lo > hi then
    fail(("`%s` takes two whole numbers, the lower one first"):format(who), { word = who, hint = who .. "(0, 9)" })
  end
  return { lo, hi }
end

-- A number, the name of an int field before it, a product of such, or { lo, hi }.
local function length(n, who)
  if type(n) == "table" then
    return pair(n[1], n[2], who)
  end
  if math.type(n) ~= "integer" and type(n) ~= "string" then
    fail(("`%s` needs a length"):format(who), {
      word = who,
      hint = 'a number, { lo, hi }, the name of an int field before it, or a product: "rows*cols"',
    })
  end
  return n
end

local kinds = { "any", "bits", "choice", "grid", "int", "list", "mod", "perm", "real", "record" }

local function domain(d, who)
  for _, kind in ipairs(kinds) do
    if type(d) == "table" and d[kind] ~= nil then
      return d
    end
  end
  fail(("`%s` needs a domain"):format(who), { word = who, hint = "domains are " .. table.concat(kinds, ", ") })
end

local function values(list, who)
  if type(list) ~= "table" or #list == 0 then
    fail(("`%s` takes a list that is not empty"):format(who), { word = who, hint = who .. " { ... }, the simplest first" })
  end
  return list
end

-- A length names only int fields that are drawn before it.
local function check_length(d, ints, who)
  local n = d.len or d.perm or d.bits
  for name in (type(n) == "string" and n or ""):gmatch "[^*%s]+" do
    if not tonumber(name) and not ints[name] then
      fail(("`%s` takes its length from `%s`, which is no int field before it"):format(who, name), { word = name })
    end
  end
  for _, inner in ipairs(d.any or { d.list }) do
    check_length(inner, ints, who)
  end
end

-- Fields in the order they are drawn in.
local function fields(list, who)
  local out, ints = {}, {}
  for i, field in ipairs(values(list, who)) do
    if type(field) ~= "table" or type(field[1]) ~= "string" or #field ~= 2 then
      fail(("entry %d of `%s` is not { name, domain }"):format(i, who), { field = who, hint = '{ "n", int(0, 9) }' })
    end
    out[i] = { field[1], domain(field[2], field[1]) }
    check_length(field[2], ints, field[1])
    ints[field[1]] = field[2].int and true
  end
  return out
end

local domains = {}

-- Whole numbers from lo to hi, those nearest to zero first.
function domains.int(lo, hi)
  return { int = pair(lo, hi, "int") }
end

-- 0 to p - 1.
function domains.mod(p)
  if math.type(p) ~= "integer" or p < 2 then
    fail("`mod` takes a whole number of at least 2", { word = "mod" })
  end
  return { mod = p }
end

-- One of these values.
function domains.choice(list)
  return { choice = values(list, "choice") }
end

-- One of these numbers, "inf", "-inf" and "nan" among them.
function domains.grid(list)
  return { grid = values(list, "grid") }
end

-- fp32 values: "normal", "uniform" or "extreme", times a scale.
function domains.real(distribution, scale)
  local known = { normal = true, uniform = true, extreme = true }
  if not known[distribution] or not (scale == nil or type(scale) == "number") then
    fail("`real` takes a distribution and perhaps a scale", {
      word = "real",
      hint = 'real "normal", real("uniform", 4), real "extreme"',
    })
  end
  return { real = distribution, scale = scale }
end

function domains.list(of, n)
  return { list = domain(of, "list"), len = length(n, "list") }
end

-- A permutation of 0 to n - 1.
function domains.perm(n)
  return { perm = length(n, "perm") }
end

-- A list of n zeros and ones.
function domains.bits(n)
  return { bits = length(n, "bits") }
end

function domains.record(list)
  return { record = fields(list, "record") }
end

function domains.any(list)
  for _, d in ipairs(values(list, "any")) do
    domain(d, "any")
  end
  return { any = list }
end

-- What a domain is told beyond what it takes would be lost in silence.
local takes = { any = 1, bits = 1, choice = 1, grid = 1, int = 2, list = 2, mod = 1, perm = 1, real = 2, record = 1 }
for name, count in pairs(takes) do
  local make = domains[name]
  domains[name] = function(...)
    if select("#", ...) > count then
      fail(("`%s` takes no more than %d argument%s"):format(name, count, count == 1 and "" or "s"), {
        word = name,
        hint = name == "list" and 'list(int(0, 9), 4), list(int(0, 9), { 1, 4 }), list(int(0, 9), "n")' or nil,
      })
    end
    return make(...)
  end
end

-- How the simulation is started, what it reads, and what it runs on. In Python, the module law beside it runs it.
local function simulation(sim)
  if type(sim) == "table" then
    return sim, {}, {}
  end
  if path.ext(sim) ~= ".py" then
    return { path.dir(sim) == "." and "./" .. sim or sim }, { sim }, {}
  end
  local helper = glob(path.join(path.dir(sim), "law.py"))
  return { "python3", helper[1] or sim, helper[1] and sim }, { sim, helper }, { "python3" }
end

local function only(t, ...)
  local out = {}
  for _, key in ipairs { ... } do
    out[key] = t[key]
  end
  for key in pairs(t) do
    if out[key] == nil then
      fail(("there is nothing called `%s` to say here"):format(tostring(key)), {
        word = tostring(key),
        hint = "what can be said is " .. table.concat({ ... }, ", "),
      })
    end
  end
  return out
end

-- Any seed would do; this one differs from law to law and never changes.
local function seed_of(name)
  return (name:gsub(".", function(c)
    return ("%02x"):format(c:byte())
  end))
end

local function specification(arg, command)
  return {
    name = arg.name,
    asserts = arg.asserts,
    sim = command,
    cases = fields(arg.cases, "cases"),
    scope = only(arg.scope, "exhaustive", "random", "cap"),
    relation = arg.relation,
    within = arg.within and only(arg.within, "abs", "rel", "ulp", "ulp32"),
    mutants = type(arg.mutants) == "table" and arg.mutants or tostring(arg.mutants),
    threshold = arg.threshold,
    max_skip = arg.max_skip,
    metamorphic = arg.metamorphic or nil,
    regression = arg.regression and tostring(arg.regression),
    timeout_s = arg.timeout,
    seed = arg.seed or seed_of(arg.name),
  }
end

-- Cases that broke the law once: beside a simulation x.py the file x.cases.
local function kept_cases(sim)
  if type(sim) == "string" then
    return glob((sim:gsub("%.[^./]+$", "") .. ".cases"))[1]
  end
end

local function make(arg)
  local command, inputs, tools = simulation(arg.sim)
  arg.regression = arg.regression or kept_cases(arg.sim)
  local spec_path = "out/invariant/" .. arg.name .. ".spec.json"
  local proof = "out/invariant/" .. arg.name .. ".json"
  local spec = node {
    spec_path,
    name = "invariant/" .. arg.name .. "/spec",
    kind = "specification",
    write = json.pretty(specification(arg, command)),
  }
  local made = node {
    traced(proof),
    name = "invariant/" .. arg.name,
    kind = "invariant",
    doc = arg.doc or arg.asserts,
    run = { "spak-prove", spec_path, "--out", proof },
    inputs = { spec, inputs, arg.inputs, arg.regression or {}, type(arg.mutants) == "string" and arg.mutants or {} },
    tools = { tools, arg.tools },
    phase = "outer",
  }
  shared "invariants"[arg.name] = { node = made, proof = proof, asserts = arg.asserts }
  return made
end

return {
  name = "invariant",
  doc = "A law that a simulation can be tried on. The engine draws the cases and compares the two sides; seeded faults have to be told apart from "
    .. "the law. Makes the proof, a JSON file, and fails when the law is refuted or not verified. The node is called invariant/NAME.",
  shape = {
    named = true,
    name = { type = "string", doc = "its name; without one, what is given before the table" },
    asserts = { type = "string", required = true, doc = "the law in a sentence" },
    sim = { type = "path|list", required = true, doc = "the simulation, any executable, or the words of a command (invariants/README.md has the protocol)" },
    cases = { type = "list", required = true, doc = "what a case is made of: { { \"n\", int(0, 4) }, { \"xs\", list(real \"extreme\", \"n\") } }, drawn in this order" },
    scope = { type = "table", required = true, doc = "{ exhaustive = k, random = n }; cap limits how many cases are counted out" },
    mutants = { type = "path|list", required = true, doc = "the seeded faults: a file of `name  fault` lines, or a list of { name =, fault = }" },
    relation = { type = "string", one_of = { "equal", "at_most" }, default = "equal", doc = "what has to hold between the left side and the right one" },
    within = { type = "table", doc = "a bound: { abs =, rel =, ulp =, ulp32 = }; without one, equal means the same bits" },
    threshold = { type = "number", doc = "the part of the mutants to be killed, 1 unless said" },
    metamorphic = { type = "boolean", default = false, doc = "the sides are two runs of one thing, and none is an oracle" },
    regression = { type = "path", doc = "cases that broke it once, one a line, tried first; without it, x.cases beside x.py" },
    max_skip = { type = "number", doc = "the part of the cases that may be skipped, 1/2 unless said" },
    timeout = { type = "number", doc = "seconds that a simulation may stay silent, 10 unless said" },
    seed = { type = "string", doc = "hex digits; without them, the name's" },
    inputs = { type = "paths", doc = "further files that the simulation reads" },
    tools = { type = "tools", doc = "further programs that the simulation runs" },
    doc = { type = "string", doc = "why it is needed; without it, the prose above" },
  },
  gives = domains,
  example = [[
use "invariant"

invariant "example/doubling" {
  asserts = "doubling is adding a number to itself",
  sim = { "sh", "-c", [=[
    while read -r case; do
      x=${case##*:} x=${x%?}
      lhs=$((2 * x))
      [ "${2:-}" != plus_one ] || lhs=$((lhs + 1))
      printf '{"lhs": %d, "rhs": %d}\n' "$lhs" "$((x + x))"
    done
  ]=], "sim" },
  mutants = { { name = "plus_one", fault = "adds one" } },
  cases = { { "x", int(-9, 9) } },
  scope = { exhaustive = 19, random = 100 },
}
]],
  make = make,
}
