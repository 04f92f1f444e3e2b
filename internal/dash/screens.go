package dash

import (
	"net/http"
	"strings"

	"github.com/waypost-mail/waypost"
)

// screen is one place of the dashboard: a line of the rail, and its routes.
type screen struct {
	Path  string       // where its line of the rail leads
	Title string       // its line of the rail; "" : none
	Icon  string       // of icons.go
	Group string       // the part of the rail that it stands in; "" : the first
	Role  waypost.Role // the least role that is shown the line; "" : RoleViewer

	Routes []route
	// File is the pattern of the route that takes a file: its handler reads the
	// body itself, after the role was held against the route's.
	File string
}

// takesFile tells whether a route reads the body of its request itself.
func (s *screen) takesFile(pattern string) bool {
	return s != nil && s.File == pattern && pattern != ""
}

// route is one request that a screen answers.
type route struct {
	Pattern string // of net/http's ServeMux, with the method
	// Role is the least role that may; "" is open to everybody.
	Role   waypost.Role
	Handle func(d *Dash, v *visit) error
}

// rail lists the screens in the order in which the rail shows them.
func rail() []*screen {
	return []*screen{
		&overviewScreen,
		&startScreen,
		&messagesScreen,
		&eventsScreen,
		&queueScreen,
		&statisticsScreen,
		&providersScreen,
		&domainsScreen,
		&poolsScreen,
		&templatesScreen,
		&suppressionsScreen,
		&webhooksScreen,
		&subAccountsScreen,
		&keysScreen,
		&smtpScreen,
		&peopleScreen,
		&auditScreen,
		&toolsScreen,
		&healthScreen,
		&settingsScreen,
	}
}

// doors are the screens without a line in the rail.
func doors() []*screen {
	return []*screen{&loginScreen, &ssoScreen, &linkScreen, &setupScreen, &profileScreen, &liveScreen}
}

func allScreens() []*screen { return append(rail(), doors()...) }

// rank orders the roles: each may what those below it may.
func rank(r waypost.Role) int {
	switch r {
	case waypost.RoleOwner:
		return 3
	case waypost.RoleOperator:
		return 2
	case waypost.RoleViewer:
		return 1
	}
	return 0
}

// May tells whether a person has at least the role given.
func may(p *waypost.Person, least waypost.Role) bool { return rank(p.Role) >= rank(least) }

// answer makes the handler of a route: it finds the person, holds the role
// against the route's, and turns an error into a page.
func (d *Dash) answer(s *screen, rt route) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v := d.visit(w, r)
		v.screen = s
		if r.Method == http.MethodPost && !s.takesFile(rt.Pattern) {
			r.Body = http.MaxBytesReader(w, r.Body, maxForm)
			if err := readForm(r); err != nil {
				d.fault(v, err)
				return
			}
		}
		if rt.Role != "" {
			if err := d.identify(v); err != nil {
				d.fault(v, err)
				return
			}
			if strings.HasPrefix(v.person.Password, once) && v.session.By == byPassword && s != &profileScreen && s != &loginScreen {
				d.say(v, "warn", "Choose a password of your own first: the one you logged in with was made by somebody else.")
				http.Redirect(w, r, "/profile", http.StatusSeeOther)
				return
			}
			if !may(&v.person, rt.Role) {
				d.fault(v, errForbidden)
				return
			}
		}
		if done, err := d.ask(v, rt.Pattern); done || err != nil {
			if err != nil {
				d.fault(v, err)
			}
			return
		}
		if err := rt.Handle(d, v); err != nil {
			d.fault(v, err)
		}
	}
}
