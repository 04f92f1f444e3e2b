package sso

import (
	"fmt"
	"slices"
	"strings"

	"github.com/waypost-mail/waypost"
)

// roles are those of the dashboard, the highest first.
var roles = []waypost.Role{waypost.RoleOwner, waypost.RoleOperator, waypost.RoleViewer}

// ParseRole reads a role's name.
func ParseRole(s string) (waypost.Role, error) {
	if r := waypost.Role(s); slices.Contains(roles, r) {
		return r, nil
	}
	return "", fmt.Errorf("%q is no role: owner, operator or viewer", s)
}

// GroupRoles says which role the members of a group have.
type GroupRoles map[string]waypost.Role

// ParseGroupRoles reads a list of group=role. A group's name may hold "=".
func ParseGroupRoles(list []string) (GroupRoles, error) {
	out := GroupRoles{}
	for _, item := range list {
		at := strings.LastIndexByte(item, '=')
		if at < 1 {
			return nil, fmt.Errorf("%q is no pair such as mail-admins=owner", item)
		}
		group := strings.TrimSpace(item[:at])
		role, err := ParseRole(strings.TrimSpace(item[at+1:]))
		if err != nil {
			return nil, err
		}
		if _, twice := out[group]; twice || group == "" {
			return nil, fmt.Errorf("the group %q stands twice, or has no name", group)
		}
		out[group] = role
	}
	return out, nil
}

// Role is the highest role of the groups given; false when none of them has one.
func (g GroupRoles) Role(groups []string) (waypost.Role, bool) {
	for _, role := range roles {
		for _, name := range groups {
			if g[name] == role {
				return role, true
			}
		}
	}
	return "", false
}
