// Package dash is the dashboard: pages for people, made on the server.
//
// It answers two questions: does mail flow, and why did this one message not.
// A tour, in the order of a request:
//
//   - [Dash.ServeHTTP] sets the headers that keep a page shut (security.go),
//     refuses what another site sent (net/http's cross-origin protection), and
//     routes by the one list of screens (screens.go).
//   - A route that asks for a role finds the person behind the session cookie
//     first (session.go). Without one it leads to the login (login.go; through
//     an issuer, sso.go; by the operator's link, link.go), and from there back. An installation without
//     people leads to the setup (setup.go).
//   - A screen is one file of Go and one template of the same name. It reads
//     through [store.Store], with the person's account in every look-up, and
//     changes things by calling the API in this process (call.go), so that
//     validation, audit and tenancy have one place. What the API refuses is
//     shown beside the form's field, with what was typed (form.go).
//   - What cannot be undone is asked for by a page of its own (confirm.go), and
//     a secret is shown once by another (keys.go), so that both work without
//     JavaScript.
//   - Charts are SVG drawn here, each with its numbers in a table and a file
//     (chart.go, chart_csv.go).
//   - No page waits for the network: what has to ask mail servers or DNS runs
//     beside the requests, and pages show its last result (health.go).
//   - Parts of a page that are marked as live are read again when the stream
//     /live says that something happened (live.go and assets/app.js).
//     Everything but that works without JavaScript.
//
// To add a screen, write its file with a variable of type [screen], its
// template below templates/, and put the variable into the list in screens.go.
package dash
