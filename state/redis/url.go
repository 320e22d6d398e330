package redis

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// address is what a URL says:
//
//	redis://[user:password@]host[:6379][/database]
//	redis+sentinel://[user:password@]host[:26379],host…/master[/database]
//	redis+cluster://[user:password@]host[:6379],host…
//
// rediss in place of redis is TLS; ca=<file> behind ? trusts a certificate authority
// beside the system's. For Sentinel, sentinel_user and sentinel_password say who we
// are to the sentinels.
type address struct {
	hosts    []string
	user     *url.Userinfo
	database int
	master   string
	cluster  bool
	tls      *tls.Config
	sentinel *url.Userinfo
}

// parse reads a URL. Its errors repeat nothing of it that may be a secret.
func parse(raw string) (a address, err error) {
	raw, hosts := cutHosts(raw)
	u, err := url.Parse(raw)
	if err != nil {
		return a, errors.New("not a URL")
	}
	scheme, kind, _ := strings.Cut(u.Scheme, "+")
	port := "6379"
	switch {
	case scheme != "redis" && scheme != "rediss":
		return a, errors.New("must begin with redis:// or rediss://, or for several servers with redis+sentinel:// or redis+cluster://")
	case kind == "sentinel":
		port = "26379"
	case kind == "cluster":
		a.cluster = true
	case kind != "":
		return a, fmt.Errorf("unknown kind %q of servers: expected sentinel or cluster", kind)
	}
	for h := range strings.SplitSeq(hosts, ",") {
		host, p, err := net.SplitHostPort(h)
		if err != nil {
			host, p = strings.Trim(h, "[]"), port
		}
		if host == "" || strings.ContainsAny(host, "[] \t%") {
			return a, errors.New("a host is missing, or is none")
		}
		if n, err := strconv.ParseUint(p, 10, 16); err != nil || n == 0 {
			return a, errors.New("a host's port is no number, or too large")
		}
		a.hosts = append(a.hosts, net.JoinHostPort(host, p))
	}
	if kind == "" && len(a.hosts) > 1 {
		return a, errors.New("several hosts: say redis+sentinel:// or redis+cluster://")
	}
	a.user = u.User
	path := strings.Split(strings.Trim(u.Path, "/"), "/")
	if kind == "sentinel" {
		if a.master, path = path[0], path[1:]; a.master == "" {
			return a, errors.New("the master's name is missing behind the sentinels")
		}
	}
	if len(path) > 1 {
		return a, errors.New("more in the path than a database")
	}
	if len(path) == 1 && path[0] != "" {
		if a.database, err = strconv.Atoi(path[0]); err != nil || a.database < 0 {
			return a, errors.New("the database is no number")
		}
		if a.cluster && a.database != 0 {
			return a, errors.New("a cluster has no databases")
		}
	}
	err = a.query(u, scheme == "rediss", kind == "sentinel")
	return a, err
}

// cutHosts takes the hosts out of a URL: package url knows of one only.
func cutHosts(raw string) (rest, hosts string) {
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok {
		return raw, ""
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	at := strings.LastIndexByte(rest[:end], '@') + 1
	return scheme + "://" + rest[:at] + "hosts" + rest[end:], rest[at:end]
}

func (a *address) query(u *url.URL, secure, sentinel bool) error {
	if secure {
		a.tls = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return errors.New("what stands behind ? cannot be read")
	}
	var who, secret string
	for name, values := range q {
		v := values[len(values)-1]
		switch {
		case name == "ca" && secure:
			pem, err := os.ReadFile(v)
			if err != nil {
				return fmt.Errorf("ca: %w", err)
			}
			if a.tls.RootCAs, err = x509.SystemCertPool(); err != nil {
				a.tls.RootCAs = x509.NewCertPool()
			}
			if !a.tls.RootCAs.AppendCertsFromPEM(pem) {
				return fmt.Errorf("ca: no certificate in %s", v)
			}
		case name == "sentinel_user" && sentinel:
			who = v
		case name == "sentinel_password" && sentinel:
			secret = v
		default:
			return fmt.Errorf("unknown option %q (known: ca with rediss; sentinel_user and sentinel_password with sentinel)", name)
		}
	}
	if who+secret != "" {
		a.sentinel = url.UserPassword(who, secret)
	}
	return nil
}

// client makes a client with the library's own support for what the address is. It
// dials nothing. The library's defaults would cost 1.7 s a call when Redis is down:
// tries are few and short.
func (a *address) client(patience time.Duration, retries int) goredis.UniversalClient {
	o := &goredis.UniversalOptions{
		Addrs: a.hosts, DB: a.database, MasterName: a.master, IsClusterMode: a.cluster,
		Username: a.user.Username(), TLSConfig: a.tls, SentinelUsername: a.sentinel.Username(),
		MaxRetries: retries, DialerRetries: 1, ContextTimeoutEnabled: true,
		MinRetryBackoff: 5 * time.Millisecond, MaxRetryBackoff: 20 * time.Millisecond,
		DialTimeout: patience, ReadTimeout: patience, WriteTimeout: patience, PoolTimeout: 50 * time.Millisecond,
		DisableIdentity: true, MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	o.Password, _ = a.user.Password()
	o.SentinelPassword, _ = a.sentinel.Password()
	return goredis.NewUniversalClient(o)
}
