-- The rules' reference from the rules themselves: their doc, shape and example.

-- A rule's file may call these while it is loaded; what they would do does not matter here.
local function nothing() end
local load_module = include
use = function() return use end
rule_file = function(name) return name end
param = function(_, default) return default end
env, tool, glob, finally = nothing, nothing, nothing, nothing
include = function(name) return load_module("../" .. name) end
path = setmetatable({}, { __index = function() return nothing end })
shared = function() return {} end

local function sorted(t)
  local keys = {}
  for key in pairs(t) do
    if type(key) == "string" and key ~= "named" then
      keys[#keys + 1] = key
    end
  end
  table.sort(keys)
  return keys
end

local function default_of(field)
  local d = field.default
  if type(d) == "table" then
    return next(d) == nil and "" or json.encode(d)
  end
  return d == nil and "" or tostring(d)
end

local function row(lines, name, field)
  local kind = field.type:gsub("|", " or ")
  if field.one_of then
    kind = table.concat(field.one_of, ", ")
  end
  lines[#lines + 1] = ("| %s | %s | %s | %s |"):format(name, kind, field.required and "required" or default_of(field), (field.doc or ""):gsub("|", "\\|"))
end

local function section(lines, rule)
  lines[#lines + 1] = ("## %s\n\n%s\n"):format(rule.name, rule.doc)
  lines[#lines + 1] = ("Written `%s%s { ... }`.\n"):format(rule.name, rule.shape.named and ' "name"' or "")
  lines[#lines + 1] = "| field | what it takes | default | |\n| --- | --- | --- | --- |"
  if rule.shape[1] then
    row(lines, "by position", rule.shape[1])
  end
  for _, name in ipairs(sorted(rule.shape)) do
    if name ~= "name" or not rule.shape.named then
      row(lines, "`" .. name .. "`", rule.shape[name])
    end
  end
  lines[#lines + 1] = ""
  if rule.gives then
    lines[#lines + 1] = "It also gives `" .. table.concat(sorted(rule.gives), "`, `") .. "`.\n"
  end
  if rule.example then
    lines[#lines + 1] = "```lua\n" .. rule.example:gsub("%s+$", "") .. "\n```\n"
  end
end

return function(step)
  local lines = {
    "# rules: what a build can contain\n",
    "The domain, in Lua: each file is a rule that turns a declaration into nodes. `step/` holds what rules run as commands, `lib/` what they share. "
      .. "This page is generated from the rules' own words (target `rules-manual`).\n",
  }
  for _, name in ipairs(step.names "rule") do
    section(lines, load_module(step.arg(name)))
  end
  step.write("manual", table.concat(lines, "\n"))
end
