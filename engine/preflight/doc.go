// Package preflight checks the servers that an engine will use, before it does, and reports what would keep the engine from
// working, what may cause trouble later, and what is good to know.
//
// Programs call it as engine.Preflight, feed.Preflight or schedule.Preflight, which know what their options need; people as the command
// "bench preflight". Call it in a deployment, or at the start of a program. What they get is a [Report]:
//
//	report, err := engine.Preflight(ctx, client, "chat")
//	if err != nil {
//		return err // an option is out of range, or ctx has ended
//	}
//	log.Print(report)
//	if err := report.Err(); err != nil {
//		return err // an engine would not work
//	}
//
// A [Finding] has a [Severity] and a [Subject], and says what was seen and what to do. [Rules] and the functions that are named like it
// return access rules for users that do one thing, as ACL SETUSER takes them; [docs/acl.md] has them written out.
//
// [Check] returns an error only if its context ends: a server that does not answer is a finding. [Report.Err] joins an error for each
// fatal finding. What may not be looked at is reported as unknown, which is no fault. Functions may be called by several goroutines.
//
// It only reads, and takes a few round trips to each node. Whether a command is allowed is asked of the server (ACL DRYRUN, from Redis 7.0
// on, if the user may run it), or found by trying the command in a form that the server refuses for its arguments, after it has checked the
// access rights; that leaves entries in ACL LOG.
//
// [docs/acl.md]: https://github.com/streamlease/streamlease/blob/main/docs/acl.md
package preflight
