// Follows the fleet: replaces the parts of the page that the server sends, if they have changed.
(() => {
	"use strict";
	const here = document.querySelector("[aria-current=page]");
	if (here) here.scrollIntoView({ block: "nearest", inline: "center" });
	const address = document.body.dataset.live;
	if (!address || !window.EventSource) return;
	const lost = document.getElementById("lost");
	const quiet = 40000; // heartbeats come every 15 s
	let source, watchdog, retry, waiting = 1000;

	const focusable = "a[href], button, input, select, [tabindex]";

	// What has the focus within a part, to find it again in its successor.
	function focusedIn(part) {
		const active = document.activeElement;
		if (!active || active === part || !part.contains(active)) return null;
		const same = [...part.querySelectorAll(focusable)];
		return { href: active.getAttribute("href"), at: same.indexOf(active) };
	}

	function focusAgain(part, focus) {
		const all = [...part.querySelectorAll(focusable)];
		const found = all.find((e) => focus.href && e.getAttribute("href") === focus.href) || all[focus.at];
		if (found) found.focus({ preventScroll: true });
	}

	// Somebody who selects text wants to copy it.
	function selecting(part) {
		const selection = document.getSelection();
		return selection && !selection.isCollapsed && part.contains(selection.anchorNode);
	}

	const latest = new Map();
	function replace(id, html) {
		const part = document.getElementById(id);
		if (!part || latest.get(id) === html) return;
		if (selecting(part)) return;
		latest.set(id, html);
		const focus = focusedIn(part);
		const x = window.scrollX, y = window.scrollY;
		const scrolled = [...part.querySelectorAll(".scroll, pre")].map((e) => [e.scrollLeft, e.scrollTop]);
		part.innerHTML = html;
		[...part.querySelectorAll(".scroll, pre")].forEach((e, n) => { if (scrolled[n]) [e.scrollLeft, e.scrollTop] = scrolled[n]; });
		if (focus) focusAgain(part, focus);
		window.scrollTo(x, y);
	}

	function heard() {
		lost.hidden = true;
		waiting = 1000;
		clearTimeout(watchdog);
		watchdog = setTimeout(again, quiet);
	}

	function again() {
		if (source) source.close();
		lost.hidden = false;
		clearTimeout(watchdog);
		clearTimeout(retry);
		retry = setTimeout(connect, waiting);
		waiting = Math.min(waiting * 2, 30000);
	}

	function connect() {
		if (document.hidden) return;
		source = new EventSource(address);
		watchdog = setTimeout(again, quiet);
		source.onopen = heard;
		source.onerror = again;
		source.addEventListener("part", (event) => {
			heard();
			const end = event.data.indexOf("\n");
			if (end < 0) replace(event.data, "");
			else replace(event.data.slice(0, end), event.data.slice(end + 1));
		});
		source.addEventListener("beat", heard);
	}

	// A page that nobody looks at does not follow.
	document.addEventListener("visibilitychange", () => {
		clearTimeout(watchdog);
		clearTimeout(retry);
		if (source) source.close();
		source = undefined;
		if (!document.hidden) connect();
	});
	window.addEventListener("pagehide", () => { clearTimeout(watchdog); clearTimeout(retry); if (source) source.close(); });
	window.addEventListener("pageshow", (event) => { if (event.persisted) connect(); });
	connect();
})();
