// Fills the "output" of every case in handlebars.json: node record.js, with
// the handlebars package installed where Node finds it.
const fs = require("fs");
const Handlebars = require("handlebars");

const file = __dirname + "/handlebars.json";
const golden = JSON.parse(fs.readFileSync(file, "utf8"));
golden.handlebars = Handlebars.VERSION;
for (const c of golden.cases) {
  c.output = Handlebars.compile(c.template, { noEscape: c.mode === "text" })(c.data ?? golden.data);
}
fs.writeFileSync(file, JSON.stringify(golden, null, 1) + "\n");
