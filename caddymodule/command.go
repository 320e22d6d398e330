package caddymodule

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/universal-ai-gateway/magicproxy/audit/kafka"
	"github.com/universal-ai-gateway/magicproxy/audit/verify"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "ai-gateway",
		Usage: "audit tail|verify [flags]",
		Short: "Reads what the AI gateway has recorded",
		Long: `
Reads the audit events of the AI gateway, from a Kafka topic or from the files of a
journal. Nothing of it needs a running gateway, or its configuration.
`,
		CobraFunc: func(cmd *cobra.Command) { cmd.AddCommand(auditCommand()) },
	})
}

// auditCommand is `caddy ai-gateway audit`.
func auditCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "audit", Short: "Follows audit events, or finds out whether they are whole"}
	cmd.AddCommand(
		auditSub("tail", "Writes audit events as they come", `
Writes audit events, one a line: those that come from now on, or with --from-start all
there are. --follow goes on at the end; without --from-start it always does.
`, verify.Tail),
		auditSub("verify", "Counts audit events, and finds gaps, doubles and what is not as the schema says", `
Reads all events there are, counts them by type, and finds missing numbers, events that
came twice, that stand in the wrong order, or that the schema does not allow. The exit
status is 1 if something is wrong. Doubles are not: delivery is at least once. --follow
goes on until it is interrupted, and tells of what is wrong as it comes.
`, verify.Verify))
	return cmd
}

// auditSub is one of its subcommands.
func auditSub(name, short, long string, run func(context.Context, verify.Command, io.Writer) error) *cobra.Command {
	var c verify.Command
	var brokers, mechanism, user, secretEnv string
	var secure bool
	cmd := &cobra.Command{
		Use: name + " [--kafka <broker,...> | --dir <directory>]", Short: short, Long: long, Args: cobra.NoArgs,
		SilenceUsage: true,
	}
	f := cmd.Flags()
	f.StringVar(&brokers, "kafka", "", "brokers of the topic, host:port, separated by commas")
	f.StringVar(&c.Kafka.Topic, "topic", kafka.DefaultTopic, "the topic")
	f.BoolVar(&secure, "tls", false, "encrypt the connections to the brokers")
	f.StringVar(&mechanism, "sasl", "", "how to say who we are: plain, scram-sha-256 or scram-sha-512")
	f.StringVar(&user, "user", "", "with --sasl: the user")
	f.StringVar(&secretEnv, "password-env", "KAFKA_PASSWORD", "with --sasl: the environment variable that holds the password")
	f.StringVar(&c.Dir, "dir", "", "directory of a journal, instead of a topic (default: that of this machine's Caddy)")
	f.BoolVar(&c.FromStart, "from-start", false, "begin with the oldest event")
	f.BoolVarP(&c.Follow, "follow", "f", false, "wait for more at the end")
	f.BoolVar(&c.Partial, "partial", false, "what is read does not begin where the audit does: first events may be missing")
	f.BoolVar(&c.JSON, "json", false, "write JSON, one object a line")
	cmd.RunE = caddycmd.WrapCommandFuncForCobra(func(caddycmd.Flags) (int, error) {
		if brokers != "" && c.Dir != "" {
			return caddy.ExitCodeFailedStartup, errors.New("--kafka and --dir: only one of them")
		}
		if brokers != "" {
			list, err := kafka.ParseBrokers(brokers)
			if err != nil {
				return caddy.ExitCodeFailedStartup, fmt.Errorf("--kafka: %w", err)
			}
			c.Kafka.Brokers = list
			if secure {
				c.Kafka.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
			}
			if mechanism != "" {
				c.Kafka.Mechanism, c.Kafka.User, c.Kafka.Password = mechanism, user, os.Getenv(secretEnv)
				if c.Kafka.Password == "" {
					return caddy.ExitCodeFailedStartup, fmt.Errorf("--sasl: the environment variable %s is not set", secretEnv)
				}
			}
		} else if c.Dir == "" {
			c.Dir = filepath.Join(caddy.AppDataDir(), "ai_gateway", "audit")
		}
		c.Progress = os.Stderr
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		switch err := run(ctx, c, os.Stdout); {
		case err == nil:
			return caddy.ExitCodeSuccess, nil
		case errors.Is(err, verify.ErrNotWhole):
			return 1, err
		default:
			return caddy.ExitCodeFailedStartup, err
		}
	})
	return cmd
}
