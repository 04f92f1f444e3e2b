package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/secret"
	"github.com/waypost-mail/waypost/internal/store"
)

// SMTPCredential is a name and password for SMTP submission.
type SMTPCredential struct {
	ID       int64      `json:"id"`
	Name     string     `json:"name" doc:"the identifier"`
	Username string     `json:"username" doc:"to log in with"`
	Password string     `json:"password,omitempty" doc:"shown once"`
	Hint     string     `json:"hint" doc:"first and last characters of the password"`
	Created  time.Time  `json:"created"`
	LastUsed *time.Time `json:"lastUsed" doc:"to about a minute; null: never"`
}

// SMTPCredentialRequest names a credential.
type SMTPCredentialRequest struct {
	Name string `json:"name" doc:"1 to 64 lower-case letters, digits, dots, hyphens and underscores, unique in the sub-account"`
}

func (a *API) smtpCredentialRoutes() {
	const all = "/subaccount/smtp"
	create := operation(http.MethodPost, all, "Make a credential for SMTP submission; its password is shown once", waypost.KeySubAccount)
	create.DefaultStatus = http.StatusCreated
	register(a, create, SMTPCredentialRequest{}, a.createSMTPCredential)
	register(a, operation(http.MethodGet, all, "List the credentials for SMTP submission", waypost.KeySubAccount), nil, a.listSMTPCredentials)
	register(a, operation(http.MethodDelete, all+"/{id}", "End a credential for SMTP submission at once", waypost.KeySubAccount), nil, a.deleteSMTPCredential)
}

func (a *API) smtpView(k *waypost.APIKey) SMTPCredential {
	domain := a.cfg.SubmissionDomain
	if domain == "" {
		domain = waypost.SubmissionDomain
	}
	return SMTPCredential{
		ID: k.ID, Name: k.Name, Username: waypost.SubmissionUser{Name: k.Name, SubAccount: k.SubAccount}.Username(domain),
		Hint: k.Hint, Created: k.Created.UTC(), LastUsed: optional(k.LastUsed),
	}
}

func (a *API) createSMTPCredential(ctx context.Context, in *raw) (SMTPCredential, error) {
	req, err := decode[SMTPCredentialRequest](in.RawBody)
	if err != nil {
		return SMTPCredential{}, err
	}
	me := caller(ctx)
	if !opens(&me, scopeSend) { // what it makes could do what it may not
		return SMTPCredential{}, denied("this key cannot make a credential that sends: it needs the scope " + scopeSend + " beside " + scopeManage)
	}
	name := strings.TrimSpace(req.Name)
	if err := waypost.CheckSubmissionName(name); err != nil {
		return SMTPCredential{}, badField("name", "%v", err)
	}
	taken := func() error {
		e := fail(http.StatusForbidden, fmt.Sprintf("a credential named %q exists already; delete it, or choose another name", name))
		e.Body.Param = "name"
		return e
	}
	switch _, err := a.cfg.Store.SubmissionKey(ctx, me.SubAccount, name); {
	case err == nil:
		return SMTPCredential{}, taken()
	case !isNotFound(err):
		return SMTPCredential{}, fmt.Errorf("look for credential %q: %w", name, err)
	}
	plain := secret.NewKey("wpm")
	k := waypost.APIKey{
		Kind: waypost.KeySubmission, Account: me.Account, SubAccount: me.SubAccount, Name: name,
		Hash: secret.HashKey(plain), Hint: secret.Hint(plain), Created: time.Now().Truncate(time.Millisecond), Networks: me.Networks,
		Expires: me.Expires,
	}
	if err := a.cfg.Store.CreateKey(ctx, &k); err != nil {
		if errors.Is(err, store.ErrExists) {
			return SMTPCredential{}, taken()
		}
		return SMTPCredential{}, fmt.Errorf("store credential %q: %w", name, err)
	}
	a.audit(ctx, "smtp.create", fmt.Sprintf("key %d", k.ID), "made SMTP credential %q of sub-account %d", name, me.SubAccount)
	out := a.smtpView(&k)
	out.Password = plain
	return out, nil
}

// submissionKeys gives the credentials of an account that somebody asks for.
func (a *API) submissionKeys(ctx context.Context, account int64, wanted func(*waypost.APIKey) bool) ([]waypost.APIKey, error) {
	var out []waypost.APIKey
	const most = 1000
	for offset := 0; ; offset += most {
		all, err := a.cfg.Store.Keys(ctx, account, waypost.KeySubmission, store.Page{Limit: most, Offset: offset})
		if err != nil {
			return nil, fmt.Errorf("list SMTP credentials: %w", err)
		}
		for i := range all {
			if wanted(&all[i]) {
				out = append(out, all[i])
			}
		}
		if len(all) < most {
			return out, nil
		}
	}
}

// smtpCredentials reads those of the caller's sub-account.
func (a *API) smtpCredentials(ctx context.Context) ([]waypost.APIKey, error) {
	me := caller(ctx)
	return a.submissionKeys(ctx, me.Account, func(k *waypost.APIKey) bool { return k.SubAccount == me.SubAccount })
}

// smtpAuths reads those of an account, by sub-account.
func (a *API) smtpAuths(ctx context.Context, account int64) (map[int64][]SMTPAuth, error) {
	now, out := time.Now(), map[int64][]SMTPAuth{}
	all, err := a.submissionKeys(ctx, account, func(k *waypost.APIKey) bool { return k.Live(now) })
	for i := range all {
		k := &all[i]
		out[k.SubAccount] = append(out[k.SubAccount], SMTPAuth{
			ID: k.ID, Username: a.smtpView(k).Username, Created: k.Created.UnixNano(), Updated: k.Created.UnixNano(),
		})
	}
	return out, err
}

func (a *API) listSMTPCredentials(ctx context.Context, _ *struct{}) ([]SMTPCredential, error) {
	all, err := a.smtpCredentials(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]SMTPCredential, len(all))
	for i := range all {
		out[i] = a.smtpView(&all[i])
	}
	return out, nil
}

func (a *API) deleteSMTPCredential(ctx context.Context, in *idPath) (Deleted, error) {
	all, err := a.smtpCredentials(ctx)
	if err != nil {
		return Deleted{}, err
	}
	for _, k := range all {
		if k.ID != in.ID {
			continue
		}
		if err := a.cfg.Store.DeleteKey(ctx, k.Account, k.ID); err != nil {
			if isNotFound(err) {
				break
			}
			return Deleted{}, fmt.Errorf("delete SMTP credential %d: %w", k.ID, err)
		}
		a.audit(ctx, "smtp.delete", fmt.Sprintf("key %d", k.ID), "deleted SMTP credential %q of sub-account %d", k.Name, k.SubAccount)
		return Deleted{k.ID, fmt.Sprintf("SMTP credential (%s) has been deleted successfully", k.Name)}, nil
	}
	return Deleted{}, notFound("SMTP credential", in.ID)
}
