-- What a study or a hypothesis may spend: { tries = 10, wall = 600, cpu = 1200, device = 300 }, in seconds where it is time.
local known = { tries = true, wall = true, cpu = true, device = true }

return function(given)
  for name, value in pairs(given or {}) do
    if not known[name] then
      fail(("nothing called `%s` can be spent"):format(tostring(name)), { word = tostring(name), hint = "tries, wall, cpu, device" })
    end
    if type(value) ~= "number" or value < 0 then
      fail(("`%s` in `allow` is no number of %s"):format(name, name == "tries" and "tries" or "seconds"), { word = name })
    end
  end
  return given
end
