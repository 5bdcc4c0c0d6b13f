// Finding a model by typing: words of its name, and words that say what it must be.

const SEARCH_HELP = "Words of a name or a maker; free, local, cloud, zdr; <2 (US dollars a million tokens), >100k (context)";

/** The models that fit all words of `query`, those that can be asked at once first. */
function findModels(models, query) {
  const tests = query.toLowerCase().split(/\s+/).filter(Boolean).map(wordTest);
  const found = models.filter((model) => tests.every((test) => test(model)));
  return found.sort((a, b) => Number(b.here) - Number(a.here));
}

function wordTest(word) {
  const least = /^>(\d+(?:[.,]\d+)?)(k|m)?$/.exec(word);
  if (least) {
    const number = Number(least[1].replace(",", "."));
    const tokens = number * { k: 1e3, m: 1e6 }[least[2] ?? (number < 1000 ? "k" : "")] || number;
    return (model) => model.context !== null && model.context >= tokens;
  }
  const most = /^<\$?(\d+(?:[.,]\d+)?)$/.exec(word);
  if (most) return (model) => model.writes !== null && model.writes < Number(most[1].replace(",", "."));
  const kinds = {
    free: (model) => model.writes === 0 && model.reads === 0,
    local: (model) => model.local,
    cloud: (model) => !model.local,
    zdr: (model) => model.zdr === true,
  };
  return (
    kinds[word] ??
    ((model) => `${model.spec} ${model.name} ${model.family} ${model.about}`.toLowerCase().includes(word))
  );
}

/** What one wants to know of a model, in a few words. */
function modelFacts(model) {
  const facts = [model.family];
  if (model.context) facts.push(`${Math.round(model.context / 1000)}k context`);
  if (model.writes === null || model.reads === null) facts.push("price not known");
  else facts.push(model.writes || model.reads ? `$${trim(model.reads)} / $${trim(model.writes)} a million` : "free");
  facts.push(model.local ? "local" : "cloud");
  if (model.zdr && !model.local) facts.push("zdr");
  if (model.rate) facts.push(`${Math.round(model.rate)} tokens/s here`);
  if (!model.here) facts.push("not here yet: nbfuse pull");
  if (model.fits === false) facts.push("does not fit into memory");
  return facts.join(" · ");
}

function trim(dollars) {
  return String(Number(dollars.toPrecision(3)));
}
