package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// TODO(contract): every method here is still to be written; the file goes when it is empty.
var errTodo = errors.New("not written yet")

func (d *DB) Keys(ctx context.Context, account int64, kind waypost.KeyKind, p store.Page) ([]waypost.APIKey, error) {
	return nil, errTodo
}

func (d *DB) UpdateKey(ctx context.Context, k *waypost.APIKey) error { return errTodo }

func (d *DB) DeleteKey(ctx context.Context, account, id int64) error { return errTodo }

func (d *DB) TouchKeys(ctx context.Context, used map[int64]time.Time) error { return errTodo }

func (d *DB) SubmissionKey(ctx context.Context, subAccount int64, name string) (waypost.APIKey, error) {
	return waypost.APIKey{}, errTodo
}

func (d *DB) CreateSubAccount(ctx context.Context, s *waypost.SubAccount, key *waypost.APIKey) error {
	return errTodo
}

func (d *DB) UpdateSubAccount(ctx context.Context, s *waypost.SubAccount) error { return errTodo }

func (d *DB) DeleteSubAccount(ctx context.Context, account, id int64) error { return errTodo }

func (d *DB) UpdateDomain(ctx context.Context, s *waypost.SenderDomain) error { return errTodo }

func (d *DB) CountDomains(ctx context.Context, subAccount int64) (int, error) { return 0, errTodo }

func (d *DB) Unsuppress(ctx context.Context, subAccount int64, emails []string) ([]waypost.Suppression, error) {
	return nil, errTodo
}

func (d *DB) ListSuppressions(ctx context.Context, q store.SuppressionQuery) ([]waypost.Suppression, error) {
	return nil, errTodo
}

func (d *DB) CountSuppressions(ctx context.Context, q store.SuppressionQuery) (int, error) {
	return 0, errTodo
}

func (d *DB) PruneSuppressions(ctx context.Context, before time.Time, limit int) (int, error) {
	return 0, errTodo
}

func (d *DB) CreateTemplate(ctx context.Context, t *waypost.Template) error { return errTodo }

func (d *DB) UpdateTemplate(ctx context.Context, t *waypost.Template) error { return errTodo }

func (d *DB) DeleteTemplate(ctx context.Context, account, id int64) error { return errTodo }

func (d *DB) Template(ctx context.Context, account, id int64) (waypost.Template, error) {
	return waypost.Template{}, errTodo
}

func (d *DB) TemplateByName(ctx context.Context, account int64, name string) (waypost.Template, error) {
	return waypost.Template{}, errTodo
}

func (d *DB) Templates(ctx context.Context, account int64, p store.Page) ([]waypost.Template, error) {
	return nil, errTodo
}

func (d *DB) CountTemplates(ctx context.Context, account int64) (int, error) { return 0, errTodo }

func (d *DB) Replay(ctx context.Context, subAccount int64, key string, now time.Time) (store.Replay, error) {
	return store.Replay{}, errTodo
}

func (d *DB) PruneReplays(ctx context.Context, before time.Time, limit int) (int, error) {
	return 0, errTodo
}

func (d *DB) Breakdown(ctx context.Context, q store.StatQuery) ([]store.StatRow, error) {
	return nil, errTodo
}

func (d *DB) CreatePerson(ctx context.Context, p *waypost.Person) error { return errTodo }

func (d *DB) UpdatePerson(ctx context.Context, p *waypost.Person) error { return errTodo }

func (d *DB) DeletePerson(ctx context.Context, account, id int64) error { return errTodo }

func (d *DB) Person(ctx context.Context, id int64) (waypost.Person, error) {
	return waypost.Person{}, errTodo
}

func (d *DB) PersonByEmail(ctx context.Context, email string) (waypost.Person, error) {
	return waypost.Person{}, errTodo
}

func (d *DB) People(ctx context.Context, account int64) ([]waypost.Person, error) {
	return nil, errTodo
}

func (d *DB) SaveSession(ctx context.Context, token [32]byte, data []byte, expires time.Time) error {
	return errTodo
}

func (d *DB) Session(ctx context.Context, token [32]byte, now time.Time) ([]byte, error) {
	return nil, errTodo
}

func (d *DB) DeleteSession(ctx context.Context, token [32]byte) error { return errTodo }

func (d *DB) PruneSessions(ctx context.Context, before time.Time) error { return errTodo }

func (d *DB) CountEvents(ctx context.Context, q store.EventQuery) (int, error) { return 0, errTodo }

func (d *DB) Event(ctx context.Context, account, id int64) (waypost.Event, error) {
	return waypost.Event{}, errTodo
}

func (d *DB) ListMessages(ctx context.Context, q store.MessageQuery) ([]waypost.Message, error) {
	return nil, errTodo
}

func (d *DB) PruneEvents(ctx context.Context, before time.Time, limit int) (int, error) {
	return 0, errTodo
}

func (d *DB) PruneMessages(ctx context.Context, before time.Time, limit int) (int, error) {
	return 0, errTodo
}

func (d *DB) PruneJournal(ctx context.Context, before time.Time, limit int) (int, error) {
	return 0, errTodo
}

func (d *DB) CreateWebhook(ctx context.Context, w *waypost.Webhook) error { return errTodo }

func (d *DB) UpdateWebhook(ctx context.Context, w *waypost.Webhook) error { return errTodo }

func (d *DB) DeleteWebhook(ctx context.Context, account, id int64) error { return errTodo }

func (d *DB) Webhook(ctx context.Context, account, id int64) (waypost.Webhook, error) {
	return waypost.Webhook{}, errTodo
}

func (d *DB) AnyWebhook(ctx context.Context, id int64) (waypost.Webhook, error) {
	return waypost.Webhook{}, errTodo
}

func (d *DB) Webhooks(ctx context.Context, account int64, p store.Page) ([]waypost.Webhook, error) {
	return nil, errTodo
}

func (d *DB) DeliveryHeads(ctx context.Context) ([]store.DeliveryHead, error) { return nil, errTodo }

func (d *DB) ClaimDeliveries(ctx context.Context, webhook int64, now time.Time, limit int, until time.Time) ([]store.ClaimedDelivery, error) {
	return nil, errTodo
}

func (d *DB) FinishDeliveries(ctx context.Context, all []waypost.Delivery, now time.Time) error {
	return errTodo
}

func (d *DB) ListDeliveries(ctx context.Context, q store.DeliveryQuery) ([]waypost.Delivery, error) {
	return nil, errTodo
}

func (d *DB) ReplayDeliveries(ctx context.Context, account, webhook int64, ids []int64, now time.Time) (int, error) {
	return 0, errTodo
}

func (d *DB) PruneDeliveries(ctx context.Context, done, dead time.Time, limit int) (int, error) {
	return 0, errTodo
}
