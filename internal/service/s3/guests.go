package s3

import (
	"context"
	"crypto/rand"
	"net/http"
	"strings"
	"sync"

	"github.com/versity/versitygw/auth"

	"drover/internal/wire"
	"drover/internal/wire/authz"
)

// guests are the users and roles whose requests are under way. The library judges them: it
// puts the bucket's policy and what their own policies say together, key by key where a
// request names many. It knows each by an access key that lives as long as the request.
type guests struct {
	owner
	secret string // all sign with it; none of them sees it
	at     sync.Map
}

// guest is one such request.
type guest struct {
	ctx       context.Context // the call, which knows the principal and its policies
	principal authz.Principal
	refused   func() error // records the refusal that a policy or the lack of one was the cause of
}

// enter makes a guest of a request; its access key is valid until leave.
func (g *guests) enter(ctx context.Context, p authz.Principal) (access string, who *guest) {
	access, who = "G"+rand.Text()[:19], &guest{ctx: ctx, principal: p}
	g.at.Store(access, who)
	return access, who
}

func (g *guests) leave(access string) { g.at.Delete(access) }

// GetUserAccount implements auth.IAMService.
func (g *guests) GetUserAccount(access string) (auth.Account, error) {
	v, ok := g.at.Load(access)
	if !ok {
		return g.owner.GetUserAccount(access)
	}
	p := &v.(*guest).principal
	a := auth.Account{Access: access, Secret: g.secret, Role: auth.RoleUser, Arn: p.ARN}
	if p.Role != "" {
		a.RoleArn = "arn:aws:iam::" + p.Account + ":role/" + p.Role
	}
	return a, nil
}

// The library's decisions, whose type it does not export.
const (
	noMatch = iota
	allowed
	denied
)

// EvaluatePolicy implements auth.PolicyEvaluator: it asks the guest's own policies.
func (g *guests) EvaluatePolicy(access, _ string, actions []auth.Action, resources []string, conditions map[string][]string) (auth.PolicyEvaluation, error) {
	var out auth.PolicyEvaluation
	v, ok := g.at.Load(access)
	if !ok { // the owner's own requests are not asked about
		return out, auth.ErrNoSuchUser
	}
	who := v.(*guest)
	out.PrincipalArn = who.principal.ARN
	err := matrix(&out.Decisions, len(resources), len(actions), func(i, j int) (int, error) {
		d, err := wire.Decide(who.ctx, string(actions[j]), resources[i], s3Conditions(conditions))
		if err != nil || d.Effect == authz.Allow {
			return allowed, err
		}
		who.refused = func() error { return wire.Refuse(who.ctx, string(actions[j]), resources[i], d) }
		if d.Effect == authz.Deny {
			return denied, nil
		}
		return noMatch, nil
	})
	if len(who.principal.Limits) > 0 { // a limited session gets nothing by a bucket's policy that it has not itself
		out.HasSessionPolicy, out.SessionDecisions = true, out.Decisions
	}
	return out, err
}

// matrix fills in decisions of a type that cannot be named here.
func matrix[T ~int](out *[][]T, rows, columns int, decide func(i, j int) (int, error)) error {
	for i := range rows {
		row := make([]T, columns)
		for j := range columns {
			d, err := decide(i, j)
			if err != nil {
				return err
			}
			row[j] = T(d)
		}
		*out = append(*out, row)
	}
	return nil
}

// s3Conditions are the condition keys that only S3 has; the others the call knows better.
func s3Conditions(all map[string][]string) wire.Conditions {
	var own wire.Conditions
	for k, v := range all {
		if strings.HasPrefix(k, "s3:") {
			if own == nil {
				own = wire.Conditions{}
			}
			own[k] = v
		}
	}
	return own
}

// Judge lets every request of users and roles through to Serve, which knows what it is about
// and asks their policies then.
func (s *Service) Judge(*http.Request) error { return nil }
