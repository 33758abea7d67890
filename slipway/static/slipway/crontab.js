// Says below the chosen crontab in words when it is due.
"use strict";
const readable = JSON.parse(document.getElementById("readable-crontabs").textContent);
const help = document.querySelector(".field-crontab .help");
const words = help.appendChild(document.createElement("div"));
document.getElementById("id_crontab").addEventListener("change", (event) => {
    words.textContent = readable[event.target.value] || "";
});
