-- A search over the values that a guide leaves free: configurations are compiled and checked side by side, and timed one batch after the other.
use "cc" "cubin" "step"
local search = include(rule_file "lib/search.lua")
local spec = include(rule_file "lib/spec.lua")

-- What is not faster than the default by more than this is not worth leaving it for.
local MARGIN = 0.01

local function text_of(names, values)
  local parts = {}
  for i, name in ipairs(names) do
    parts[i] = ("%s-%s"):format(name, values[name])
  end
  return table.concat(parts, ".")
end

local function compile(arg, op, object, values)
  if op.device == "gpu" then
    return cubin { object, source = arg.source, headers = { "kernels/device" }, set = values }
  end
  local defines = {}
  for name, value in pairs(values) do
    defines[#defines + 1] = ("%s=%s"):format(name:upper(), value)
  end
  return cc {
    object, kind = "shared", sources = arg.source, headers = { path.dir(arg.source) }, confined = true, flags = { "-O3" }, defines = defines, libs = arg.libs,
  }
end

local function worked(result)
  return result.exit == 0 and (result.status == "ran" or result.status == "clean" or result.status == "restored")
end

-- A configuration as the runner's specification names it.
local function contender(try, number)
  local c = try.list[number]
  local kernel = { name = number == 1 and "default" or c.name, object = c.object, threads = try.arg.threads, launch = try.arg.launch, entry = try.arg.entry,
    set = c.values }
  return kernel, c
end

local function spec_node(file, text)
  node { file, kind = "specification", write = json.pretty(text) }
  return file
end

local function runs_on_device(try, decl)
  decl.env, decl.reads = spec.surroundings(try.op)
  decl.device = try.op.device == "gpu"
  decl.phase = "inner"
  return node(decl)
end

-- Compiles and checks, side by side. Who fails is out, and the record says why.
local function ready(try, ask, numbers)
  local compiling, made = {}, {}
  for i, number in ipairs(numbers) do
    local c = try.list[number]
    c.object = ("%s/%s.%s"):format(try.stem, c.name, try.op.device == "gpu" and "cubin" or "so")
    compiling[i] = compile(try.arg, try.op, c.object, c.values)
  end
  for i, result in ipairs(ask(compiling)) do
    local c = try.list[numbers[i]]
    if worked(result) then
      made[#made + 1] = numbers[i]
    else
      c.why = "it does not compile"
    end
  end
  local checking = {}
  for i, number in ipairs(made) do
    local kernel, c = contender(try, number)
    local stem = ("%s/%s.check"):format(try.stem, c.name)
    local text = spec.make(try.op, try.arg.check, {
      kernels = { spec.entry(try.op, kernel, try.arg.check) }, timeout_s = try.arg.timeout,
    })
    c.check = stem .. ".json"
    checking[i] = runs_on_device(try, {
      c.check, kind = "check", run = { spec.runner(try.op), "check", spec_node(stem .. ".spec.json", text), "--out", c.check },
      inputs = { stem .. ".spec.json", c.object, try.op.reference }, order_only = try.op.admission, soft_fail = true,
    })
  end
  local passed = {}
  for i, result in ipairs(#checking > 0 and ask(checking) or {}) do
    if worked(result) then
      passed[#passed + 1] = made[i]
    else
      try.list[made[i]].why = result.status == "deferred" and "there is no device" or "its check fails"
    end
  end
  return passed
end

-- Times configurations beside the default; gives the interval of each, and charges the budget.
local function measure(try, ask, numbers, blocks)
  local kernels, inputs, order = {}, { try.op.reference }, { 1 }
  for _, number in ipairs(numbers) do
    order[#order + 1] = number ~= 1 and number or nil
  end
  for i, number in ipairs(order) do
    local kernel, c = contender(try, number)
    kernels[i] = spec.entry(try.op, kernel, try.arg.shapes)
    kernels[i].check = c.check
    inputs[#inputs + 1] = c.object
    inputs[#inputs + 1] = c.check
  end
  try.rounds = try.rounds + 1
  local stem, guide = ("%s/round-%d"):format(try.stem, try.rounds), shared "guides"[try.arg.guide]
  local text = spec.make(try.op, try.arg.shapes, {
    kernels = kernels, control = "default", budget_s = try.arg.timeout, min_blocks = blocks, max_blocks = blocks, timeout_s = try.arg.timeout,
  })
  local bench = runs_on_device(try, {
    stem .. ".json", kind = "bench", run = { spec.runner(try.op), "bench", spec_node(stem .. ".spec.json", text), "--out", stem .. ".json" },
    inputs = { stem .. ".spec.json", inputs }, measures = true, guide = guide.file, proofs = { guide.proofs, try.op.admission },
    facts = try.arg.facts,
  })
  local judged = step(stem) {
    kind = "step", script = "step/tune.lua", modules = { "step/samples.lua" }, inputs = { bench = bench }, outputs = { ratios = stem .. ".ratios.json" },
  }
  local result = ask(judged)
  if not worked(result) then
    return nil
  end
  local said, ratios = json.decode(result.read(stem .. ".ratios.json")), {}
  try.kernel_s = try.kernel_s + said.kernel_s
  for _, number in ipairs(order) do
    local name = number == 1 and "default" or try.list[number].name
    ratios[number] = name == "default" and { median = 1, lo = 1, hi = 1, n = 1 } or said.ratios[name]
    try.list[number].why = said.failed[name] or try.list[number].why
  end
  return ratios
end

-- Few blocks for all; those that may still be the fastest race on, the others keep what they have.
local function race(try, ask, numbers)
  local short = measure(try, ask, numbers, try.arg.blocks)
  if not short then
    return false
  end
  local bar, left = 0.0, {}
  for _, number in ipairs(numbers) do
    bar = math.max(bar, short[number] and short[number].lo or 0.0, try.best or 0.0)
  end
  for _, number in ipairs(numbers) do
    try.measured[number] = short[number] and short[number].median or false
    try.list[number].dropped = short[number] ~= nil and short[number].hi < bar or nil
    if short[number] and not try.list[number].dropped then
      left[#left + 1] = number
    end
  end
  local long = #left > 0 and measure(try, ask, left, 3 * try.arg.blocks) or {}
  for number, ratio in pairs(long) do
    try.measured[number] = ratio.median
    try.best = math.max(try.best or 1.0, ratio.lo)
  end
  return true
end

-- The fastest few once more, on samples that chose none of them. Within the noise the earlier in the space wins, and the default is the first.
local function settle(try, ask)
  local finalists = {}
  for number, ratio in pairs(try.measured) do
    if ratio and number ~= 1 then
      finalists[#finalists + 1] = number
    end
  end
  table.sort(finalists, function(a, b)
    return try.measured[a] == try.measured[b] and a < b or try.measured[a] > try.measured[b]
  end)
  finalists = table.move(finalists, 1, math.min(3, #finalists), 1, {})
  local final = #finalists > 0 and measure(try, ask, finalists, 6 * try.arg.blocks) or {}
  local most, winner = 1.0, 1
  for _, ratio in pairs(final) do
    most = math.max(most, ratio.lo)
  end
  for number = #try.list, 2, -1 do
    if final[number] and final[number].lo > 1.0 + MARGIN and final[number].hi >= most then
      winner = number
    end
  end
  try.final = final
  return winner, final[winner]
end

local function record(try, winner, ratio, refused)
  local tried = {}
  for number, c in ipairs(try.list) do
    if try.measured[number] ~= nil then
      tried[#tried + 1] = {
        set = c.values, speed = try.measured[number] or nil, final = try.final[number], dropped_early = c.dropped,
        rejected = not try.measured[number] and c.why or nil,
      }
    end
  end
  return json.pretty {
    kernel = try.arg.name, strategy = try.arg.strategy, winner = try.list[winner].values, over_default = ratio, is_default = winner == 1,
    legal = #try.list, illegal = refused, evaluations = try.evaluations, kernel_s = try.kernel_s, rounds = try.rounds, tried = json.array(tried),
  }
end

local function drive(try, ask, refused)
  local propose = search.strategies[try.arg.strategy] { count = #try.list, seed = 20250101, neighbours = try.neighbours }
  local default_works = #ready(try, ask, { 1 }) == 1
  try.measured[1] = default_works and 1.0 or false
  while default_works and try.evaluations < try.arg.evaluations and try.kernel_s < try.arg.budget do
    local numbers = propose(try.measured, math.min(try.arg.batch, try.arg.evaluations - try.evaluations))
    if #numbers == 0 then
      break
    end
    try.evaluations = try.evaluations + #numbers
    local passed = ready(try, ask, numbers)
    for _, number in ipairs(numbers) do
      try.measured[number] = false
    end
    if #passed > 0 and not race(try, ask, passed) then
      break
    end
  end
  local winner, ratio = settle(try, ask)
  ask { traced(try.stem .. ".json"), name = ("tune/%s/result"):format(try.arg.name), kind = "tuned", write = record(try, winner, ratio, refused) }
end

local function make(arg)
  local study = arg.name:match "^([^/]+)/[^/]+$"
  local op, guide = spec.op(study or arg.name), shared "guides"[arg.guide]
  if not guide then
    fail(("no guide is called \"%s\""):format(arg.guide), { code = "unknown_name", field = "guide" })
  end
  if not search.strategies[arg.strategy] then
    fail(("no strategy is called \"%s\""):format(arg.strategy), { field = "strategy", hint = "exhaustive, random or local" })
  end
  for name, values in pairs(arg.space) do
    if guide.freedoms[name] == nil then
      fail(("the guide leaves no freedom called \"%s\""):format(name), { word = name, hint = "a search goes through freedoms that the guide names" })
    end
    local has = false
    for _, value in ipairs(values) do
      has = has or value == arg.default[name]
    end
    if not has then
      fail(("the default of `%s` is none of its values"):format(name), { word = name, hint = "default = { " .. name .. " = ... } with a value of the space" })
    end
  end
  local list, refused, names = search.enumerate(arg.space, arg.default, arg.where or function() return true end)
  for i, values in ipairs(list) do
    list[i] = { values = values, name = text_of(names, values) }
  end
  if #list == 0 or text_of(names, arg.default) ~= list[1].name then
    fail("`where` does not allow the default", { field = "where" })
  end
  local configurations = {}
  for i, c in ipairs(list) do
    configurations[i] = c.values
  end
  return driver {
    "tune/" .. arg.name,
    inputs = { op.reference, guide.file, arg.source },
    run = function(ask)
      local copies = {}
      for i, c in ipairs(list) do
        copies[i] = { values = c.values, name = c.name }
      end
      drive({
        arg = arg, op = op, stem = "out/tune/" .. arg.name, list = copies, measured = {}, rounds = 0, evaluations = 0, kernel_s = 0.0,
        neighbours = search.neighbours(arg.space, names, configurations),
      }, ask, refused)
    end,
  }
end

return {
  name = "tune",
  doc = "Searches the values that a guide leaves free. Configurations are compiled and checked side by side and timed one batch after the other, beside the default; "
    .. "clear losers are dropped after a few blocks. The fastest few are measured again on fresh samples: within the noise the earlier one in the space wins, and what is "
    .. "not surely faster than the default is the default. What it asked for is a record that replays: after a kill it goes on where it was. The node is called "
    .. "tune/OP/NAME and makes out/tune/OP/NAME.json.",
  shape = {
    named = true,
    name = { type = "string", doc = "OP/NAME" },
    source = { type = "path", required = true, doc = "the source, .c or .cu" },
    guide = { type = "string", required = true, doc = "the guide whose freedoms it searches" },
    space = { type = "table", required = true, doc = "freedom to the list of its values, neighbours beside each other" },
    default = { type = "table", required = true, doc = "freedom to the value that has to be beaten" },
    where = { type = "function", doc = "values to true, or to false and the reason: decided before anything is compiled" },
    strategy = { type = "string", default = "local", doc = "exhaustive, random or local (rules/lib/search.lua)" },
    check = { type = "list", required = true, doc = "the shapes that a configuration is checked on" },
    shapes = { type = "list", required = true, doc = "the shapes that it is timed on" },
    evaluations = { type = "integer", default = 32, doc = "how many configurations it may try" },
    budget = { type = "number", default = 60, doc = "seconds that timed kernels may run together" },
    batch = { type = "integer", default = 4, doc = "how many are tried at once" },
    blocks = { type = "integer", default = 5, doc = "blocks of the first, short round" },
    threads = { type = "integer", default = 1, doc = "how many threads it may use" },
    entry = { type = "string", doc = "the name of a CUDA kernel's entry" },
    launch = { type = "function", doc = "as a kernel's" },
    facts = { type = "strings", default = {}, doc = "facts of the machine that the times depend on" },
    libs = { type = "strings", default = { "m", "pthread" }, doc = "libraries it is linked with" },
    timeout = { type = "number", default = 60, doc = "seconds a launch may take" },
  },
  example = [[
use "tune"

tune "example/unrolled" {
  source = "out/example/fused.c", guide = "example", space = { unroll = { 1, 2, 4 } }, default = { unroll = 4 },
  check = { { "odd", n = 4099 } }, shapes = { { "large", n = 1000000 } }, evaluations = 4,
}
]],
  make = make,
}
