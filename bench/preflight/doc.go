// Package preflight is the subcommand preflight of the commands bench and streamlease: it checks servers as engine.Preflight and
// feed.Preflight do.
package preflight
