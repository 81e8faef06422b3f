-- The first file of the language: returns the function that evaluates a spakfile.
local modules = {}

-- Another file of this folder, loaded once.
function import(name)
  if modules[name] == nil then
    modules[name] = engine.load(name, "engine")()
  end
  return modules[name]
end

local builtins = import "builtins"
local tools = import "tools"
local driver = import "driver"
local environment = import "environment"

engine.hooks {
  complain = builtins.complain,
  prepare = builtins.prepare,
  tool = tools.resolve,
  driver = driver.run,
  commands = tools.commands,
}

return function(spakfile)
  environment.evaluate(spakfile, "user")
  builtins.finish()
end
