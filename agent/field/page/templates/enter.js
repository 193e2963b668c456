var code = location.hash.slice(1);
history.replaceState(null, "", location.pathname);
document.getElementById("code").value = code;
