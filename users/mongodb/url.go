package mongodb

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

const (
	scheme    = "mongodb://"
	schemeSRV = "mongodb+srv://"
)

// resolve makes the driver's options of a URL that check has found good. For
// mongodb+srv it looks the servers up.
func resolve(url string) (*options.ClientOptions, error) {
	o := options.Client().ApplyURI(url)
	if err := o.Validate(); err != nil {
		return nil, err
	}
	return o, nil
}

// check looks for mistakes in a URL, without the network. Its errors hold no
// secret: the driver's would repeat parts of a password that is not escaped.
func check(url string) error {
	if !strings.HasPrefix(url, scheme) && !strings.HasPrefix(url, schemeSRV) {
		return fmt.Errorf("must begin with %s or %s", scheme, schemeSRV)
	}
	if rest, srv := strings.CutPrefix(url, schemeSRV); srv {
		hosts := afterUser(rest)
		if i := strings.IndexAny(hosts, "/?"); i >= 0 {
			hosts = hosts[:i]
		}
		if hosts == "" || strings.ContainsAny(hosts, ",:") {
			return fmt.Errorf("%s takes one host, without a port", schemeSRV)
		}
		// Whatever else it has to be is the same without a lookup.
		url = scheme + withoutOptions(rest, "srvmaxhosts", "srvservicename")
	}
	if _, err := resolve(url); err == nil {
		return nil
	}
	if _, err := resolve(withoutSecrets(url)); err != nil {
		return err
	}
	return errors.New("malformed user, password or authentication options: escape what is not a letter or digit, as %40 for @")
}

// afterUser returns what follows the user and the password, as the driver sees it.
func afterUser(rest string) string {
	if _, after, ok := strings.Cut(rest, "@"); ok {
		return after
	}
	return rest
}

// withoutSecrets returns the URL with other words for what is secret. Everything
// before the last @ is taken for user and password: too much rather than too little.
func withoutSecrets(url string) string {
	rest := strings.TrimPrefix(url, scheme)
	user := ""
	if i := strings.LastIndex(rest, "@"); i >= 0 {
		if user = "user@"; strings.Contains(rest[:i], ":") {
			user = "user:password@"
		}
		rest = rest[i+1:]
	}
	rest = withoutOptions(rest, "authmechanismproperties", "tlscertificatekeyfilepassword", "sslclientcertificatekeypassword")
	return scheme + user + rest
}

// withoutOptions drops options, named in lower case.
func withoutOptions(rest string, names ...string) string {
	i := strings.LastIndex(rest, "?")
	if i < 0 {
		return rest
	}
	var kept []string
next:
	for _, option := range strings.FieldsFunc(rest[i+1:], func(r rune) bool { return r == '&' || r == ';' }) {
		name, _, _ := strings.Cut(option, "=")
		for _, n := range names {
			if strings.EqualFold(name, n) {
				continue next
			}
		}
		kept = append(kept, option)
	}
	return rest[:i+1] + strings.Join(kept, "&")
}

// databaseOf returns the database that a good URL's path names, "" for none.
func databaseOf(s string) string {
	_, rest, _ := strings.Cut(s, "://")
	_, path, _ := strings.Cut(afterUser(rest), "/")
	name, _, _ := strings.Cut(path, "?")
	name, _ = url.QueryUnescape(name)
	return name
}

// validDatabase reports whether servers on all systems take the name.
func validDatabase(name string) bool {
	return len(name) < 64 && !strings.ContainsAny(name, "/\\. \"$*<>:|?\x00")
}
