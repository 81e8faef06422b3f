-- luacheck: what a spakfile and a rule see (lua/environment.lua), and what the files of lua/ see.
std = "lua54"
max_line_length = 180
cache = false
exclude_files = { "out" }

local builtins = {
  "dir", "driver", "env", "fact", "glob", "here", "include", "json", "metrics", "node", "param", "path", "pool", "read", "rule",
  "target", "tool", "trace_to", "traced", "use",
}
local for_rules = { "fail", "finally", "probe", "rule_file", "shared", "watch" }
local rules = { "bench", "cc", "check", "cubin", "dist", "guide", "hypothesis", "invariant", "kernel", "op", "report", "step", "test", "verdict" }

local function all(...)
  local out = {}
  for _, list in ipairs { ... } do
    for _, name in ipairs(list) do
      out[#out + 1] = name
    end
  end
  return out
end

files["lua"] = { globals = { "engine", "import" } }
files["lua/spak.d.lua"] = { ignore = { "1..", "2.." } }
files["rules"] = { read_globals = all(builtins, for_rules, rules) }
files["rules/step"] = { read_globals = { "include", "json", "stat", "step", "lint" } }
files["tests"] = { read_globals = all(builtins, rules) }
files["spakfile"] = { read_globals = all(builtins, rules) }
-- It evaluates the rules themselves, so it sets what they see.
files["rules/step/manual.lua"] = { globals = all(builtins, for_rules), read_globals = { "step" } }
