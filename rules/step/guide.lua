-- The study's words, its hypotheses and its proofs -> the guide, for people and for programs. Refused if it says too much.

local function section(lines, title, items)
  if #items > 0 then
    lines[#lines + 1] = "## " .. title .. "\n"
    for _, item in ipairs(items) do
      lines[#lines + 1] = "- " .. item
    end
    lines[#lines + 1] = ""
  end
end

local function named(map)
  local names, items = {}, {}
  for name in pairs(map) do
    names[#names + 1] = name
  end
  table.sort(names)
  for i, name in ipairs(names) do
    items[i] = ("`%s`: %s"):format(name, map[name])
  end
  return items
end

local function choices(hypotheses)
  local items = {}
  for i, h in ipairs(hypotheses) do
    items[i] = ("`%s`: %s"):format(h.name, h.because)
  end
  return items
end

return function(step)
  local spec = step.json "spec"
  local proofs, rests = {}, {}
  for i, name in ipairs(step.names "proof") do
    local proof = step.json(name)
    proofs[i] = { name = proof.name, sha256 = step.digest(name) }
    rests[i] = ("`%s` sha256 %s"):format(proof.name, proofs[i].sha256)
  end
  local hypotheses = step.json_all "hypothesis"
  local lines = { "# Guide: " .. spec.name .. "\n", spec.intent .. "\n" }
  section(lines, "Data flow", spec.dataflow)
  section(lines, "State and its algebra", spec.algebra)
  section(lines, "Where things live", named(spec.placement))
  section(lines, "Synchronisation", spec.synchronisation and { spec.synchronisation } or {})
  section(lines, "Design choices and why", choices(hypotheses))
  section(lines, "Freedoms", named(spec.freedoms))
  section(lines, "Forbidden", spec.forbidden)
  section(lines, "Success", spec.success)
  section(lines, "Laws it rests on, by proof", rests)
  local text = table.concat(lines, "\n")
  step.lint_guide(text, "guide/" .. spec.name .. ".md")
  spec.proofs = json.array(proofs)
  local choice = {}
  for i, h in ipairs(hypotheses) do
    choice[i] = { hypothesis = h.name, because = h.because, rests_on = h.rests_on }
  end
  spec.choices = json.array(choice)
  step.write("markdown", text)
  step.write("json", json.pretty(spec))
end
