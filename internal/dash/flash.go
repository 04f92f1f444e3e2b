package dash

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
)

// flash is a sentence about what was just done, shown once by the next page.
type flash struct {
	Kind string // "ok", "warn" or "bad"
	Text string
}

const flashCookie = "waypost_flash"

// say keeps a sentence for the page that the answer leads to. It travels in a
// cookie, and holds no secret.
func (d *Dash) say(v *visit, kind, text string) {
	if len(text) > 1000 {
		text = text[:1000] + "…"
	}
	b, err := json.Marshal(flash{kind, text})
	if err != nil {
		return // two strings always encode
	}
	http.SetCookie(v.w, &http.Cookie{
		Name: flashCookie, Value: base64.RawURLEncoding.EncodeToString(b), Path: "/", MaxAge: 60,
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: d.secure,
	})
}

// takeFlash reads the sentence and forgets it.
func (d *Dash) takeFlash(v *visit) []flash {
	c, err := v.r.Cookie(flashCookie)
	if err != nil {
		return nil
	}
	http.SetCookie(v.w, &http.Cookie{Name: flashCookie, Path: "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: d.secure})
	b, err := base64.RawURLEncoding.DecodeString(c.Value)
	var f flash
	if err != nil || json.Unmarshal(b, &f) != nil || f.Text == "" {
		return nil
	}
	switch f.Kind {
	case "ok", "warn", "bad":
	default:
		f.Kind = "warn"
	}
	return []flash{f}
}
