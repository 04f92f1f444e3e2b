-- +goose Up

-- Each filter of the audit has an index, newest first.
CREATE INDEX audit_actor ON audit (account, actor, id);
CREATE INDEX audit_action ON audit (account, action, id);
CREATE INDEX audit_object ON audit (account, object, id);

-- The suppressed addresses of a domain.
CREATE INDEX suppression_domain ON suppression (sub_account, substr(email, instr(email, '@') + 1), id);
