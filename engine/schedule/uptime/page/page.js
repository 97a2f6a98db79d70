"use strict";
// Each event is HTML elements. They take the place of those with the same IDs; what has the focus keeps it.
function show(html) {
	const template = document.createElement("template");
	template.innerHTML = html;
	for (const element of [...template.content.children]) {
		const old = document.getElementById(element.id);
		if (!old) continue;
		const focus = old.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
		old.replaceWith(element);
		if (focus) element.querySelector(`a[href="${CSS.escape(focus)}"]`)?.focus({ preventScroll: true });
	}
}

const source = new EventSource(document.body.dataset.events);
source.onmessage = (event) => show(event.data);
source.onopen = () => document.body.classList.remove("offline");
source.onerror = () => {
	document.body.classList.add("offline"); // the browser connects again by itself, unless it was refused
	if (source.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 5000);
};
