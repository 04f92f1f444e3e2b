// Package merge is the merge language of subjects and bodies (D-24,
// sendpost.md d.4): the subset of Handlebars that mail templates use, with a
// budget, so that a hostile template costs a bounded time and memory.
//
// # Language
//
//	{{name}} {{a.b}} {{items.0.n}} {{a.[odd name]}}   a value, escaped in HTML
//	{{{name}}} {{&name}}                              a value, never escaped
//	{{.Name}}                                         the same as {{Name}}
//	{{#if x}} {{else if y}} {{else}} {{/if}}          also unless, each, with
//	{{this}} {{../x}} {{@root.x}}                     the current, outer, outermost values
//	{{@index}} {{@key}} {{@first}} {{@last}}          inside each
//	{{! note }} {{!-- note with }} --}}               nothing
//	{{~x~}}                                           eats white space on that side
//	\{{x}}                                            the text {{x}}
//
// Block tags and comments alone on a line take the line with them. What is
// missing is empty. A list prints its items with commas, an object prints
// nothing. false, null, "", 0 and the empty list count as false. each over an
// object runs in the sorted order of its keys. There are no helpers, partials
// or anything else that runs code: such tags are parse errors that say so.
//
// Results equal those of handlebars.js, recorded in testdata, but for: an
// object printed as such (here nothing, there "[object Object]"), the key
// order of each, and white space before the end tag of an else-if chain. The
// leading dot, {{x}}} (the value and a brace), {{list.0}} and names that begin
// with "else" are errors there and work here.
//
// # Order of work
//
// [Parse] makes a [Template] once, without recursion, in time linear in its
// source; a Template never changes and may be shared. [Template.Render] runs
// it per recipient. Names are looked up in the scopes in order; the first
// scope that has the name wins, even with null. The caller passes the reserved
// name "unsubscribe" as a scope of its own, in front.
//
// # Failure
//
// Every error is an [*Error] with line and column. Parse fails on malformed
// templates and on more than 32 nested blocks or 10,000 parts; those are the
// author's to correct. Render fails only when the budget of 100,000 steps or
// the output bound is used up (errors.Is ErrBudget).
//
// The package imports the standard library only.
package merge
